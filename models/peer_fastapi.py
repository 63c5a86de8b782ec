#!/usr/bin/env python3
"""The usual Python service as a contender of tests/tools/load.c: FastAPI and TorchScript behind uvicorn.

It answers POST /api/ml/speaker_embedding with the older service's JSON. Set up as a careful deployment would: inference
runs in the thread pool on --torch-threads cores a call, and no more calls at once than there are cores, since the
pool's 40 would fight for them; --workers 2 is its strongest setting on two cores. Takes the switches of voxlock-cloud
that the load generator passes; --peers names the folder that bake.py wrote. OMP_NUM_THREADS and
OPENBLAS_NUM_THREADS must be 1 in the environment. Needs torch, numpy, fastapi and uvicorn.
"""

import argparse
import asyncio
import base64
import json
import os
import signal
import socket
import sys
import time

import numpy as np
import torch
import uvicorn
from fastapi import FastAPI, HTTPException
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "train"))
from ecapa import SAMPLE_RATE, Fbank  # noqa: E402

# TorchScript compiles in its first calls.
WARM_UP = 3


class EmbeddingRequest(BaseModel):
    audio_data: str
    sample_rate: int = 16000
    format: str = "float32"


def decode(request):
    raw = base64.b64decode(request.audio_data, validate=True)
    if request.format == "int16":
        return np.frombuffer(raw, "<i2").astype(np.float32) / 32768.0
    if request.format == "float32":
        return np.frombuffer(raw, "<f4").copy()
    raise HTTPException(422, "format must be float32 or int16")


def make_embed(network, bf16):
    fbank = Fbank()

    def embed(samples):
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            vector = network(fbank(torch.from_numpy(samples)[None]))
        return torch.nn.functional.normalize(vector.float(), dim=1)[0].tolist()

    return embed


def make_app(embed, calls_at_once):
    app = FastAPI()
    # The thread pool's own limit wakes the latest waiter first (anyio 3), so that some clients wait for ever.
    slots = asyncio.Semaphore(calls_at_once)

    @app.get("/health")
    async def health():
        return {"status": "healthy", "ecapa_ready": True}

    @app.post("/api/ml/speaker_embedding")
    async def speaker_embedding(request: EmbeddingRequest):
        start = time.perf_counter()
        async with slots:
            embedding = await run_in_threadpool(lambda: embed(decode(request)))
        return {
            "success": True,
            "embedding": embedding,
            "embedding_size": len(embedding),
            "processing_time_ms": 1e3 * (time.perf_counter() - start),
            "cached": False,
            "error": None,
        }

    return app


def serve(arguments, listener, on_loaded):
    torch.set_num_threads(arguments.torch_threads)
    network = torch.jit.load(os.path.join(arguments.peers, "ecapa_jit_traced.pt")).eval()
    embed = make_embed(network, arguments.bf16)
    for _ in range(WARM_UP):
        embed(np.random.default_rng(1).standard_normal(3 * SAMPLE_RATE, dtype=np.float32))
    app = make_app(embed, max(1, (os.cpu_count() or 1) // arguments.workers // arguments.torch_threads))
    on_loaded()
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False))
    asyncio.run(server.serve(sockets=[listener]))


def start_workers(arguments, listener):
    """Process ids of all workers but this one, once each has its network."""
    pids = []
    for _ in range(arguments.workers - 1):
        loaded, tell = os.pipe()
        pid = os.fork()
        if pid == 0:
            serve(arguments, listener, lambda: os.write(tell, b"."))
            os._exit(0)
        pids.append(pid)
        os.close(tell)
        os.read(loaded, 1)
        os.close(loaded)
    return pids


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--bind", default="127.0.0.1")
    parser.add_argument("--model", help="ignored: the network is TorchScript")
    parser.add_argument("--log-format", help="ignored: JSON")
    parser.add_argument("--peers", required=True)
    parser.add_argument("--torch-threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--bf16", action="store_true")
    arguments = parser.parse_args()
    with socket.create_server((arguments.bind, arguments.port)) as listener:
        # asyncio sets this only on sockets that name their protocol; without it every answer waits 40 ms for an
        # acknowledgement. What is accepted inherits it.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line = json.dumps({"message": "listening", "port": listener.getsockname()[1]})
        pids = start_workers(arguments, listener)
        serve(arguments, listener, lambda: print(line, file=sys.stderr, flush=True))
    for pid in pids:
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
