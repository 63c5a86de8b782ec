#!/usr/bin/env python3
"""The usual Python service as a contender of tests/tools/load.c: FastAPI and TorchScript behind uvicorn.

It answers POST /api/ml/speaker_embedding with the older service's JSON. Inference runs in FastAPI's thread pool, each
call on --torch-threads cores, as a careful deployment of it would. Takes the switches of voxlock-cloud that the load
generator passes; --peers names the folder that export_peers.py wrote. Needs torch, numpy, fastapi and uvicorn.
"""

import argparse
import asyncio
import base64
import json
import os
import socket
import sys
import time

import numpy as np
import torch
import uvicorn
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "train"))
from ecapa import Fbank  # noqa: E402


class EmbeddingRequest(BaseModel):
    audio_data: str
    sample_rate: int = 16000
    format: str = "float32"


def make_app(network, bf16):
    app, fbank = FastAPI(), Fbank()

    @app.get("/health")
    def health():
        return {"status": "healthy", "ecapa_ready": True}

    @app.post("/api/ml/speaker_embedding")
    def speaker_embedding(request: EmbeddingRequest):
        start = time.perf_counter()
        raw = base64.b64decode(request.audio_data, validate=True)
        if request.format == "int16":
            samples = np.frombuffer(raw, "<i2").astype(np.float32) / 32768.0
        elif request.format == "float32":
            samples = np.frombuffer(raw, "<f4")
        else:
            raise HTTPException(422, "format must be float32 or int16")
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            vector = network(fbank(torch.from_numpy(samples.copy())[None]))
        embedding = torch.nn.functional.normalize(vector.float(), dim=1)[0].tolist()
        return {
            "success": True,
            "embedding": embedding,
            "embedding_size": len(embedding),
            "processing_time_ms": 1e3 * (time.perf_counter() - start),
            "cached": False,
            "error": None,
        }

    return app


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--bind", default="127.0.0.1")
    parser.add_argument("--model", help="ignored: the network is TorchScript")
    parser.add_argument("--log-format", help="ignored: JSON")
    parser.add_argument("--peers", required=True)
    parser.add_argument("--torch-threads", type=int, default=1)
    parser.add_argument("--bf16", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.torch_threads)
    network = torch.jit.load(os.path.join(arguments.peers, "ecapa_jit_traced.pt")).eval()
    app = make_app(network, arguments.bf16)
    with socket.create_server((arguments.bind, arguments.port)) as listener:
        print(json.dumps({"message": "listening", "port": listener.getsockname()[1]}), file=sys.stderr, flush=True)
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False))
        asyncio.run(server.serve(sockets=[listener]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
