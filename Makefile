# voxlock: one Makefile, no recursion. `make help` lists the targets.
# MODE=release|asan|tsan|cov builds into build/$(MODE); CI=1 makes warnings fatal.

MODE ?= release
B    := build/$(MODE)
UNAME_S := $(shell uname -s)
UNAME_M := $(shell uname -m)
.DEFAULT_GOAL := all

# ---- what the machine has -------------------------------------------------------------------------------------------
PKGS_SHARED := jansson libcrypto sndfile soxr zlib
PKGS_CLOUD  := libmicrohttpd
PKGS_EDGE   := sqlite3
PKGS_HTTP   := libcurl libcrypto
PKGS_TEST   := cmocka libcurl
PKGS        := $(PKGS_SHARED) $(PKGS_CLOUD) $(PKGS_EDGE) $(PKGS_HTTP) $(PKGS_TEST)
ifeq ($(UNAME_S),Darwin)
BREW := $(shell brew --prefix 2>/dev/null)
export PKG_CONFIG_PATH := $(BREW)/opt/openssl@3/lib/pkgconfig:$(BREW)/lib/pkgconfig:$(PKG_CONFIG_PATH)
endif
pkg_cflags = $(shell pkg-config --cflags $(1) 2>/dev/null)
pkg_libs   = $(shell pkg-config --libs $(1) 2>/dev/null)
HAVE_ONEDNN := $(wildcard /usr/include/dnnl.h $(BREW)/include/dnnl.h)
HAVE_SECRET := $(if $(filter Darwin,$(UNAME_S)),,$(shell pkg-config --exists libsecret-1 2>/dev/null && echo yes))
HAVE_LOGIND := $(if $(filter Darwin,$(UNAME_S)),,$(shell pkg-config --exists libsystemd 2>/dev/null && echo yes))
# Keyword spotting came after 0.8.
HAVE_SPHINX := $(shell pkg-config --exists 'pocketsphinx >= 1' 2>/dev/null && echo yes)
HAVE_PULSE  := $(if $(filter Darwin,$(UNAME_S)),,$(shell pkg-config --exists libpulse 2>/dev/null && echo yes))
HAVE_ALSA   := $(if $(filter Darwin,$(UNAME_S)),,$(shell pkg-config --exists alsa 2>/dev/null && echo yes))
HAVE_PAM    := $(if $(filter Linux,$(UNAME_S)),$(wildcard /usr/include/security/pam_modules.h))
HAVE_CBLAS  := $(if $(filter Darwin,$(UNAME_S)),yes,$(shell pkg-config --exists openblas 2>/dev/null && echo yes))
# libtorch: where LIBTORCH_DIR says, else Homebrew's, else the system's (docs/models.md, "TorchScript").
TORCH := $(firstword $(patsubst %/include/torch/script.h,%,$(wildcard $(addsuffix /include/torch/script.h,$(or $(LIBTORCH_DIR),$(BREW) /usr)))))
# ONNX Runtime, unpacked where ONNXRUNTIME_DIR says, or known to pkg-config (docs/models.md, "ONNX").
ifneq ($(ONNXRUNTIME_DIR),)
ONNX_H   := $(firstword $(wildcard $(patsubst %,$(ONNXRUNTIME_DIR)/include/%onnxruntime_c_api.h, \
              ./ onnxruntime/ onnxruntime/core/session/)))
ONNX_LIB := $(abspath $(firstword $(wildcard $(ONNXRUNTIME_DIR)/lib/libonnxruntime.so $(ONNXRUNTIME_DIR)/lib/libonnxruntime.dylib)))
HAVE_ONNX   := $(and $(ONNX_H),$(ONNX_LIB))
ONNX_CFLAGS := -isystem $(dir $(ONNX_H))
ONNX_LIBS   := $(ONNX_LIB) -Wl,-rpath,$(dir $(ONNX_LIB))
else ifeq ($(shell pkg-config --exists libonnxruntime 2>/dev/null && echo yes),yes)
HAVE_ONNX   := yes
ONNX_CFLAGS := $(patsubst -I%,-isystem %,$(call pkg_cflags,libonnxruntime))
ONNX_LIBS   := $(call pkg_libs,libonnxruntime)
endif

comma := ,

# ---- flags ----------------------------------------------------------------------------------------------------------
VERSION  := $(shell cat VERSION)
WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 \
            -Wundef -Wpointer-arith -Wcast-align -Wnull-dereference
CXXWARNINGS := $(filter-out -Wstrict-prototypes -Wmissing-prototypes,$(WARNINGS)) -Wmissing-declarations -Wold-style-cast
CFLAGS_release := -O2 -g -D_FORTIFY_SOURCE=2
CFLAGS_asan    := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
CFLAGS_tsan    := -O1 -g -fsanitize=thread -fno-omit-frame-pointer
CFLAGS_cov     := -O0 -g --coverage
LDFLAGS_asan   := -fsanitize=address,undefined
LDFLAGS_tsan   := -fsanitize=thread
LDFLAGS_cov    := --coverage
DEFS_Linux     := -D_GNU_SOURCE
DEFS_Darwin    := -D_DARWIN_C_SOURCE
CFLAGS_ALL := -std=c11 $(WARNINGS) $(if $(CI),-Werror) $(CFLAGS_$(MODE)) $(DEFS_$(UNAME_S)) -I. -I$(B)/gen \
              -DVX_VERSION='"$(VERSION)"' -DVX_BUILD_DIR='"$(B)"' -fvisibility=hidden -fstack-protector-strong -fPIE -ffp-contract=off -pthread \
              $(call pkg_cflags,$(PKGS)) $(CFLAGS)
LDFLAGS_ALL := $(LDFLAGS_$(MODE)) -pthread $(if $(filter Linux,$(UNAME_S)),-pie -Wl$(comma)-z$(comma)relro$(comma)-z$(comma)now -Wl$(comma)--as-needed) $(LDFLAGS)
LIBS_SHARED := $(call pkg_libs,$(PKGS_SHARED)) -lm $(if $(filter Linux,$(UNAME_S)),-ldl)
LIBS_CLOUD  := $(call pkg_libs,$(PKGS_CLOUD))
LIBS_EDGE   := $(call pkg_libs,$(PKGS_EDGE)) $(if $(filter Darwin,$(UNAME_S)),-framework Security -framework CoreFoundation -framework CoreGraphics -framework CoreAudio -framework AudioToolbox \
               -framework ApplicationServices -framework IOKit)
LIBS_TEST   := $(call pkg_libs,$(PKGS_TEST))

# Kernels are the hot loops: optimised in every mode, and only they get instruction-set flags, by file name.
# Contraction into FMA is part of a vector kernel's contract; the scalar references keep -ffp-contract=off, and so do the
# int8 products, whose bytes are the same on every level.
ISA_avx2   := -O3 -mavx2 -mfma -ffp-contract=fast
ISA_avx512 := -O3 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mprefer-vector-width=512 -ffp-contract=fast
ISA_avx512vbmi := $(ISA_avx512) -mavx512vbmi
ISA_avx512vnni := $(ISA_avx512) -mavx512vnni
ISA_avx512bf16 := $(ISA_avx512) -mavx512bf16
ISA_amx        := $(ISA_avx512) -mavx512vnni -mavx512bf16 -mamx-tile -mamx-bf16 -mamx-int8
ISA_avxvnni    := $(ISA_avx2) -mavxvnni
ISA_neon    := -O3 -ffp-contract=fast
ISA_neondot := $(ISA_neon) -march=armv8.2-a+dotprod
ISA_scalar  := -O3
# Kernels in 64-byte vectors on machines that may not have them: all is inlined, so that none is ever passed. Tiles are each
# thread's own, and ThreadSanitizer would take ten times as long to say so.
ISA_emulated := -O3 -Wno-psabi -fno-sanitize=thread
isa_flags    = $(ISA_$(lastword $(subst _, ,$(basename $(notdir $(1)))))) \
               $(if $(filter product_int8_%,$(notdir $(1))),-ffp-contract=off)
ifeq ($(UNAME_M),x86_64)
ISA_SKIP := %_neon.c %_neondot.c
else
ISA_SKIP := %_avx2.c %_avxvnni.c %_avx512.c %_avx512vbmi.c %_avx512vnni.c %_avx512bf16.c %_amx.c
endif

# ---- sources: a new file in these folders is built without a change here ---------------------------------------------
src_in  = $(filter-out $(ISA_SKIP),$(wildcard $(addsuffix /*.c,$(1))))
SHARED  := $(filter-out shared/engine/plugin_%.c,$(call src_in,shared/base shared/audio shared/engine shared/resilience shared/measure))
CLOUD   := $(call src_in,cloud)
EDGE    := $(filter-out $(wildcard edge/*/plugin_*.c),$(call src_in,edge $(wildcard edge/*)))
UNIT    := $(wildcard tests/unit/test_*.c)
CTEST   := $(wildcard tests/api/test_*.c tests/e2e/test_*.c)
FUZZ    := $(wildcard tests/fuzz/fuzz_*.c)
BENCH   := $(wildcard tests/bench/bench_*.c)
SPOOF   := $(wildcard tests/bench/spoof/*.c)
TOOLS   := $(filter-out $(if $(HAVE_LOGIND),,%/logind_mock.c),$(wildcard tests/tools/*.c))
SUPPORT := $(wildcard tests/support/*.c)
# Sanitizers cannot follow the threads of an OpenMP runtime that is not built with them (LeakSanitizer crashes on
# their thread-local storage, ThreadSanitizer sees races that are none), so those modes go without.
PLUGINS_release := $(if $(HAVE_ONEDNN),onednn) $(if $(HAVE_CBLAS),blas)
PLUGINS_asan    := $(if $(HAVE_CBLAS),blas)
PLUGINS_cov     := $(PLUGINS_release)
PLUGINS := $(PLUGINS_$(MODE))
PLUGIN_SO := $(patsubst %,$(B)/vx_gemm_%.so,$(PLUGINS))
PLUGIN_SO += $(if $(HAVE_SECRET),$(B)/vx_keyring_secret.so)
PLUGIN_SO += $(B)/vx_http_curl.so $(B)/vx_loopback_http.so
PLUGIN_SO += $(if $(HAVE_PAM),$(B)/pam_voxlock.so)
PLUGIN_SO += $(if $(HAVE_PULSE),$(B)/vx_capture_pulse.so) $(if $(HAVE_ALSA),$(B)/vx_capture_alsa.so)
PLUGIN_SO += $(if $(HAVE_SPHINX),$(B)/vx_phrase_sphinx.so)
PLUGIN_SO += $(if $(HAVE_LOGIND),$(B)/vx_desktop_logind.so)
# Not under ThreadSanitizer: the library is not built with it.
ifneq ($(MODE),tsan)
PLUGIN_SO += $(if $(TORCH),$(B)/vx_network_torch.so)
PLUGIN_SO += $(if $(HAVE_ONNX),$(B)/vx_network_onnx.so)
endif

objs = $(patsubst %.c,$(B)/obj/%.o,$(1))
LIB  := $(B)/libvoxlock.a
SERVICE := $(B)/libservice.a
AGENT := $(B)/libagent.a
SPOOF_LAB := $(B)/libspoof.a
UNIT_BIN  := $(patsubst tests/unit/%.c,$(B)/tests/%,$(UNIT))
CTEST_BIN := $(patsubst tests/api/%.c,$(B)/tests/%,$(patsubst tests/e2e/%.c,$(B)/tests/%,$(CTEST)))
FUZZ_BIN  := $(patsubst tests/fuzz/%.c,$(B)/tests/%,$(FUZZ))
BENCH_BIN := $(patsubst tests/bench/%.c,$(B)/bench/%,$(BENCH)) $(B)/bench/spoof_lab
TOOL_BIN  := $(patsubst tests/tools/%.c,$(B)/tools/%,$(TOOLS))

.PHONY: all help setup deps programs plugins tests tools test unit api bench demo lint format accuracy clean cov fuzz \
        image image-test image-bench
all: programs plugins

help: ## list the targets
	@grep -hE '^[a-z][a-z-]*:.*## ' $(firstword $(MAKEFILE_LIST)) | awk -F':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'
	@$(if $(TORCH),,echo '  strategy jit is not built: libtorch is not installed; scripts/setup.sh torch, or set LIBTORCH_DIR (docs/models.md, "TorchScript")')
	@$(if $(HAVE_ONNX),,echo '  strategy onnx is not built: ONNX Runtime is not installed; set ONNXRUNTIME_DIR (docs/models.md, "ONNX")')

setup: ## install what is missing (apt or brew), saying what first
	@scripts/setup.sh build

deps:
	@scripts/setup.sh --check build

programs: $(B)/voxlock-cloud $(B)/voxlock ## build voxlock-cloud and voxlock into build/$(MODE)
plugins: $(PLUGIN_SO)
tests: programs plugins build/forged/made $(B)/voxlock-cloud-faults $(UNIT_BIN) $(CTEST_BIN) $(FUZZ_BIN) $(TOOL_BIN)
tools: $(TOOL_BIN)

$(B)/voxlock-cloud: $(call objs,cloud/main.c) $(SERVICE) $(LIB)
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS_CLOUD) $(LIBS_SHARED)
# macOS asks the person for the microphone with the words of this list, which a program outside a bundle carries in itself.
INFO_PLIST := $(if $(filter Darwin,$(UNAME_S)),edge/agent/Info.plist)
$(B)/voxlock: $(call objs,edge/main.c) $(AGENT) $(LIB) $(INFO_PLIST)
	$(CC) $(LDFLAGS_ALL) -o $@ $(filter-out %.plist,$^) $(LIBS_EDGE) $(LIBS_SHARED) $(patsubst %,-sectcreate __TEXT __info_plist %,$(INFO_PLIST))
$(LIB): $(call objs,$(SHARED))
	@rm -f $@
	$(AR) qcs $@ $^
# The programs without their main, so that tests can link single modules of them. Files of one name in two folders both
# have their place ("q" appends, "r" would replace).
$(SERVICE): $(call objs,$(filter-out cloud/main.c,$(CLOUD)))
	@rm -f $@
	$(AR) qcs $@ $^
$(AGENT): $(call objs,$(filter-out edge/main.c,$(EDGE)))
	@rm -f $@
	$(AR) qcs $@ $^
$(SPOOF_LAB): $(call objs,$(filter-out %/lab.c,$(SPOOF)))
	@rm -f $@
	$(AR) qcs $@ $^

# The service with faults on purpose, for tests: the same sources, with VX_FAULTS defined. Settings are the archive's only
# file that looks at it.
FAULT_OBJ := $(patsubst %.c,$(B)/obj-faults/%.o,$(CLOUD) shared/base/settings.c)
$(B)/obj-faults/%.o: %.c | deps
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -DVX_FAULTS $(call isa_flags,$<) -MMD -MP -c -o $@ $<
$(B)/obj-faults/cloud/route_openapi.o: $(B)/gen/openapi_json.inc
$(B)/voxlock-cloud-faults: $(FAULT_OBJ) $(LIB)
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS_CLOUD) $(LIBS_SHARED)

# Matrix-product back ends that bring a library of their own are loaded only when asked for.
$(B)/vx_gemm_onednn.so: shared/engine/plugin_onednn.c | deps
	@mkdir -p $(@D)
	$(CC) $(filter-out -fPIE,$(CFLAGS_ALL)) -fPIC -shared -MMD -MP $(LDFLAGS_$(MODE)) -o $@ $< -ldnnl -lgomp
$(B)/vx_gemm_blas.so: shared/engine/plugin_blas.c | deps
	@mkdir -p $(@D)
	$(CC) $(filter-out -fPIE,$(CFLAGS_ALL)) -fPIC -shared -MMD -MP $(LDFLAGS_$(MODE)) \
	  $(if $(filter Darwin,$(UNAME_S)),-DACCELERATE_NEW_LAPACK,$(call pkg_cflags,openblas)) -o $@ $< \
	  $(if $(filter Darwin,$(UNAME_S)),-framework Accelerate,$(call pkg_libs,openblas))

# Secrets of a Linux desktop. GLib is not mapped where the key lies in a file.
$(B)/vx_keyring_secret.so: edge/store/plugin_secret.c | deps
	@mkdir -p $(@D)
	$(CC) $(filter-out -fPIE,$(CFLAGS_ALL)) $(patsubst -I%,-isystem %,$(call pkg_cflags,libsecret-1)) -fPIC -shared -MMD -MP \
	  $(LDFLAGS_$(MODE)) -o $@ $< $(call pkg_libs,libsecret-1)

# The session manager of a Linux desktop.
$(B)/vx_desktop_logind.so: edge/unlock/plugin_logind.c | deps
	@mkdir -p $(@D)
	$(CC) $(filter-out -fPIE,$(CFLAGS_ALL)) $(patsubst -I%,-isystem %,$(call pkg_cflags,libsystemd)) -fPIC -shared -MMD -MP \
	  $(LDFLAGS_$(MODE)) -o $@ $< $(call pkg_libs,libsystemd)
$(B)/tools/logind_mock: LIBS_TEST += $(call pkg_libs,libsystemd)

# Words in a recording. The library's part for microphones is not needed, nor the sound system that it brings.
$(B)/vx_phrase_sphinx.so: edge/challenge/plugin_sphinx.c | deps
	@mkdir -p $(@D)
	$(CC) $(filter-out -fPIE,$(CFLAGS_ALL)) $(patsubst -I%,-isystem %,$(call pkg_cflags,pocketsphinx)) -fPIC -shared -MMD -MP \
	  $(LDFLAGS_$(MODE)) -o $@ $< $(filter-out -lsphinxad,$(call pkg_libs,pocketsphinx)) -lm

# Microphones of Linux. A program that reads files maps neither.
$(B)/vx_capture_pulse.so: edge/capture/plugin_pulse.c | deps
	@mkdir -p $(@D)
	$(CC) $(filter-out -fPIE,$(CFLAGS_ALL)) $(patsubst -I%,-isystem %,$(call pkg_cflags,libpulse)) -fPIC -shared -MMD -MP \
	  $(LDFLAGS_$(MODE)) -o $@ $< $(call pkg_libs,libpulse)
$(B)/vx_capture_alsa.so: edge/capture/plugin_alsa.c | deps
	@mkdir -p $(@D)
	$(CC) $(filter-out -fPIE,$(CFLAGS_ALL)) $(patsubst -I%,-isystem %,$(call pkg_cflags,alsa)) -fPIC -shared -MMD -MP \
	  $(LDFLAGS_$(MODE)) -o $@ $< $(call pkg_libs,alsa)

# Of the agent, only where it serves its HTTP API.
$(B)/vx_loopback_http.so: edge/agent/plugin_loopback.c | deps
	@mkdir -p $(@D)
	$(CC) $(filter-out -fPIE,$(CFLAGS_ALL)) -fPIC -shared -MMD -MP $(LDFLAGS_$(MODE)) -o $@ $< $(call pkg_libs,$(PKGS_CLOUD))

# Other people's programs load this one: it links libpam and nothing else, and takes no other symbol for its own.
PAM_OBJ := $(patsubst %.c,$(B)/obj-pam/%.o,pam/pam_voxlock.c edge/agent/client.c edge/agent/reply.c shared/base/clock.c shared/base/err.c)
$(B)/obj-pam/%.o: %.c | deps
	@mkdir -p $(@D)
	$(CC) $(filter-out -fPIE,$(CFLAGS_ALL)) -fPIC -MMD -MP -c -o $@ $<
$(B)/pam_voxlock.so: $(PAM_OBJ)
	$(CC) -shared $(LDFLAGS_$(MODE)) -Wl,-Bsymbolic -Wl,-z,relro -Wl,-z,now -o $@ $^ -lpam
$(B)/tests/test_pam: LIBS_TEST += $(if $(HAVE_PAM),-lpam)

# libcurl brings 28 libraries, which would cost every start time and memory, if it were linked in (edge/route/http_plugin.h).
$(B)/vx_http_curl.so: edge/route/plugin_curl.c | deps
	@mkdir -p $(@D)
	$(CC) $(filter-out -fPIE,$(CFLAGS_ALL)) -fPIC -shared -MMD -MP $(LDFLAGS_$(MODE)) -o $@ $< $(call pkg_libs,$(PKGS_HTTP))

# C++ lives in this one file. The linker is told to keep libraries of which no symbol is used: libtorch registers CUDA
# with itself when its CUDA part is loaded. /usr/include must not be named: libstdc++ finds C's headers behind its own.
ifeq ($(origin CXX),default)
CXX := $(if $(findstring clang,$(CC)),$(subst clang,clang++,$(CC)),c++)
endif
CXXFLAGS_ALL := -std=c++17 $(CXXWARNINGS) $(if $(CI),-Werror) $(CFLAGS_$(MODE)) -I. -fvisibility=hidden \
                -fstack-protector-strong -pthread $(patsubst %,-isystem %/include,$(filter-out /usr,$(TORCH))) \
                -isystem $(TORCH)/include/torch/csrc/api/include $(CXXFLAGS)
TORCH_LIBS   := $(if $(filter Linux,$(UNAME_S)),-Wl$(comma)--no-as-needed) \
                $(foreach d,$(filter-out /usr,$(TORCH)),-L$(d)/lib -Wl$(comma)-rpath$(comma)$(d)/lib) -ltorch -ltorch_cpu -lc10 -ldl
$(B)/vx_network_torch.so: shared/engine/plugin_torch.cpp | deps
	@mkdir -p $(@D)
	$(CXX) $(CXXFLAGS_ALL) -fPIC -shared -MMD -MP $(LDFLAGS_$(MODE)) -o $@ $< $(TORCH_LIBS)
# Strategies that a library runs. $ORIGIN: a library that an install puts beside the plugin is found too.
$(B)/vx_network_onnx.so: shared/engine/plugin_onnx.c | deps
	@mkdir -p $(@D)
	$(CC) $(filter-out -fPIE,$(CFLAGS_ALL)) $(ONNX_CFLAGS) -fPIC -shared -MMD -MP $(LDFLAGS_$(MODE)) -o $@ $< $(ONNX_LIBS) \
	  -Wl,-rpath,$(if $(filter Darwin,$(UNAME_S)),@loader_path,'$$ORIGIN')

$(B)/obj/%.o: %.c | deps
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) $(call isa_flags,$<) -MMD -MP -c -o $@ $<

# The contract is compiled in: the service answers /openapi.json with the bytes of cloud/openapi.json.
$(B)/gen/openapi_json.inc: cloud/openapi.json
	@mkdir -p $(@D)
	@xxd -i < $< > $@
$(B)/obj/cloud/route_openapi.o: $(B)/gen/openapi_json.inc

SUPPORT_OBJ := $(call objs,$(SUPPORT))
# Unit tests can fail any allocation of our own objects (tests/support/alloc_fail.h). Apple's linker has no --wrap.
UNIT_WRAP := $(if $(filter Linux,$(UNAME_S)),$(addprefix -Wl$(comma)--wrap=,malloc calloc realloc posix_memalign \
               aligned_alloc strdup strndup))
# Before the general rule: the first that fits is taken.
$(B)/tests/test_spoof_%: $(B)/obj/tests/unit/test_spoof_%.o $(SPOOF_LAB) $(SUPPORT_OBJ) $(AGENT) $(LIB)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS_ALL) $(UNIT_WRAP) -o $@ $^ $(LIBS_TEST) $(LIBS_EDGE) $(LIBS_SHARED)
$(B)/tests/%: $(B)/obj/tests/unit/%.o $(SUPPORT_OBJ) $(SERVICE) $(AGENT) $(LIB)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS_ALL) $(UNIT_WRAP) -o $@ $^ $(LIBS_TEST) $(LIBS_EDGE) $(LIBS_CLOUD) $(LIBS_SHARED)
$(B)/tests/%: $(B)/obj/tests/api/%.o $(SUPPORT_OBJ) $(AGENT) $(LIB)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS_TEST) $(LIBS_EDGE) $(LIBS_SHARED)
$(B)/tests/%: $(B)/obj/tests/e2e/%.o $(SUPPORT_OBJ) $(AGENT) $(LIB)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS_TEST) $(LIBS_EDGE) $(LIBS_SHARED)
$(B)/tests/%: $(B)/obj/tests/fuzz/%.o $(B)/obj/tests/fuzz/replay.o $(SERVICE) $(AGENT) $(LIB)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS_EDGE) $(LIBS_CLOUD) $(LIBS_SHARED)
$(B)/bench/spoof_lab: $(B)/obj/tests/bench/spoof/lab.o $(SPOOF_LAB) $(SUPPORT_OBJ) $(AGENT) $(LIB)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS_TEST) $(LIBS_EDGE) $(LIBS_SHARED)
$(B)/bench/%: $(B)/obj/tests/bench/%.o $(SUPPORT_OBJ) $(AGENT) $(LIB)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS_TEST) $(LIBS_EDGE) $(LIBS_SHARED)
$(B)/tools/%: $(B)/obj/tests/tools/%.o $(SUPPORT_OBJ) $(AGENT) $(LIB)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS_TEST) $(LIBS_EDGE) $(LIBS_SHARED)
.SECONDARY:

# Networks for tests, right and wrong, made once for every mode. Where no Python has PyTorch the tests that want them skip.
build/forged/made: models/forge_artefacts.py models/self_test.py models/train/ecapa.py
	@mkdir -p $(@D)
	@scripts/with_torch.sh $< tests/data/golden/model $(@D) && touch $@ || [ $$? -eq 69 ]

test: ## everything that proves the project; installs what it needs; last line: N passed, N failed, N skipped
	@scripts/setup.sh test
	+@tests/run.sh

unit: ## the unit tests of this MODE only
	+@$(MAKE) --no-print-directory tests
	@tests/run.sh --only unit --mode $(MODE)

demo: ## build, start the service, embed and compare real recordings, stop
	@scripts/setup.sh build
	+@$(MAKE) --no-print-directory -j programs
	@scripts/demo.sh

bench: ## measure (SECTIONS="engine start http load verdict soak"); peers beside where installed; JSON into build/bench
	@scripts/setup.sh build
	+@$(MAKE) --no-print-directory -j programs plugins tools $(BENCH_BIN)
	@tests/bench/run.sh $(SECTIONS)

.PHONY: cost deploy-render
cost: ## what embeddings cost on Cloud Run, from times measured here: make cost COST="--model folder --memory 1Gi"
	@scripts/setup.sh build
	+@$(MAKE) --no-print-directory -j programs tools
	@scripts/cost.sh --build $(B) $(COST)

deploy-render: ## write deploy/service.yaml anew from deploy/service.sh
	deploy/render_service.sh > deploy/service.yaml.new && mv deploy/service.yaml.new deploy/service.yaml

accuracy: ## error rates of model and voiceprints on a folder of recordings: make accuracy DATA=folder-with-trials_dev.tsv
	@tests/accuracy.sh "$(DATA)"
	@tests/voiceprints.sh "$(DATA)"

.PHONY: vad
vad: ## speech detection and quality measures on a folder: make vad DATA=speech NOISE=noise [PEER=libfvad.so] (docs/vad.md)
	@scripts/setup.sh build
	+@$(MAKE) --no-print-directory -s -j $(B)/bench/bench_vad $(B)/bench/bench_quality
	@$(B)/bench/bench_vad $(if $(PEER),--peer "$(PEER)") -- "$(DATA)" "$(NOISE)"
	@$(B)/bench/bench_quality -- "$(DATA)" "$(NOISE)"

.PHONY: spoof
spoof: ## PAVA against the spoof laboratory: make spoof DATA=speech NOISE=noise [OUT=folder] (docs/pava.md)
	@scripts/setup.sh build
	+@$(MAKE) --no-print-directory -s -j programs plugins $(B)/bench/spoof_lab $(B)/bench/bench_decisions $(B)/bench/bench_pava
	@VX_BUILD=$(B) tests/spoof.sh "$(DATA)" "$(NOISE)" $(OUT)

parity: ## every strategy against PyTorch on recordings: make parity DATA=folder (needs PyTorch)
	@tests/parity.sh "$(DATA)"

lint: ## formatting, static analysis, include directions, file lengths, shell scripts
	@scripts/setup.sh lint
	@scripts/lint.sh

format: ## rewrite all C in the project's layout
	clang-format -i $$(git ls-files '*.c' '*.h' '*.cpp')

fuzz: ## fuzz one target with libFuzzer: make fuzz TARGET=audio FUZZ_SECONDS=60
	@tests/fuzz/run.sh "$(TARGET)" "$(or $(FUZZ_SECONDS),60)"

cov: ## line coverage of the unit, API and end-to-end tests
	@tests/run.sh --mode cov --coverage

image: ## build the container image: make image TARGET=slim MODEL=starter (docker, podman or buildah)
	@scripts/image.sh "$(or $(TARGET),full)" "$(or $(MODEL),starter)"

image-test: ## build both images (or TARGET=slim) on a base of our own, start them and use them; needs root
	@scripts/setup.sh image
	+@$(MAKE) --no-print-directory -j programs
	@status=0; for target in $(or $(TARGET),slim full); do tests/image/image_test.sh $$target $(B) || status=1; done; exit $$status

image-bench: ## start to first embedding in the container, beside no container and FastAPI; needs root
	@scripts/setup.sh image
	+@$(MAKE) --no-print-directory -j programs tools
	@tests/image/bench.sh "$(or $(TARGET),slim)"

clean: ## remove build/
	rm -rf build

-include $(shell find $(B) -name '*.d' 2>/dev/null)
