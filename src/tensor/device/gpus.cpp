#include "tensor/device/gpus.h"

#include <dlfcn.h>
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <memory>

#include "base/error.h"

#ifdef FOREGATE_CUDA
#include <cuda_runtime_api.h>
#endif

namespace foregate::tensor {

const Gpu& freest_gpu(const std::vector<Gpu>& gpus) {
  return *std::max_element(gpus.begin(), gpus.end(),
                           [](const Gpu& a, const Gpu& b) { return a.free < b.free; });
}

bool runs_on(std::string_view architectures, const Gpu& gpu) {
  while (!architectures.empty()) {
    const size_t end = std::min(architectures.find(','), architectures.size());
    const std::string_view name = architectures.substr(0, end);
    int number = 0;
    const auto [rest, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    const bool exact = rest != name.data() + name.size() && *rest == 'a';
    if (error == std::errc() && number / 10 == gpu.major &&
        (exact ? number % 10 == gpu.minor : number % 10 <= gpu.minor)) {
      return true;
    }
    architectures.remove_prefix(std::min(end + 1, architectures.size()));
  }
  return false;
}

#ifdef FOREGATE_CUDA

namespace {

// What this asks of libnvidia-ml, which comes with the driver and without a header.
class ManagementLibrary {
 public:
  ManagementLibrary() : library_(dlopen("libnvidia-ml.so.1", RTLD_NOW), &close) {
    if (!library_) return;
    const auto init = find<int (*)()>("nvmlInit_v2");
    shutdown_ = find<int (*)()>("nvmlShutdown");
    by_bus_ = find<int (*)(const char*, void**)>("nvmlDeviceGetHandleByPciBusId_v2");
    memory_ = find<int (*)(void*, Memory*)>("nvmlDeviceGetMemoryInfo");
    ready_ = init != nullptr && shutdown_ != nullptr && by_bus_ != nullptr && memory_ != nullptr &&
             init() == 0;
  }
  ~ManagementLibrary() {
    if (ready_) shutdown_();
  }
  ManagementLibrary(const ManagementLibrary&) = delete;
  ManagementLibrary& operator=(const ManagementLibrary&) = delete;

  void fill_memory(Gpu& gpu) const {
    std::array<char, 32> bus{};
    void* handle = nullptr;
    Memory memory;
    if (!ready_ || cudaDeviceGetPCIBusId(bus.data(), bus.size(), gpu.index) != cudaSuccess ||
        by_bus_(bus.data(), &handle) != 0 || memory_(handle, &memory) != 0) {
      return;
    }
    gpu.total = static_cast<int64_t>(memory.total);
    gpu.free = static_cast<int64_t>(memory.free);
  }

 private:
  struct Memory {
    unsigned long long total = 0;
    unsigned long long free = 0;
    unsigned long long used = 0;
  };

  static void close(void* library) { dlclose(library); }
  template <typename Function>
  Function find(const char* name) const {
    return reinterpret_cast<Function>(dlsym(library_.get(), name));
  }

  std::unique_ptr<void, void (*)(void*)> library_;
  int (*shutdown_)() = nullptr;
  int (*by_bus_)(const char*, void**) = nullptr;
  int (*memory_)(void*, Memory*) = nullptr;
  bool ready_ = false;
};

std::string version(int number) {
  return fmt::format("{}.{}", number / 1000, number % 1000 / 10);
}

int count_gpus() {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaSuccess) return count;
  static_cast<void>(cudaGetLastError());  // what is remembered would fail a later call
  if (error == cudaErrorNoDevice) return 0;
  if (error == cudaErrorInsufficientDriver) {
    int driver = 0;
    cudaDriverGetVersion(&driver);
    if (driver == 0) {
      throw DeviceError(
          "no NVIDIA driver is loaded on this machine; install one, or use --device cpu");
    }
    throw DeviceError(fmt::format(
        "the NVIDIA driver of this machine knows CUDA up to {}, this foregate is built with CUDA "
        "{}; update the driver, rebuild with an older CUDA, or use --device cpu",
        version(driver), version(CUDART_VERSION)));
  }
  throw DeviceError(
      fmt::format("CUDA does not start: {}; check that nvidia-smi works, or use --device cpu",
                  cudaGetErrorString(error)));
}

}  // namespace

std::vector<Gpu> visible_gpus() {
  std::vector<Gpu> gpus(static_cast<size_t>(count_gpus()));
  const ManagementLibrary library;
  for (size_t i = 0; i < gpus.size(); ++i) {
    Gpu& gpu = gpus[i];
    gpu.index = static_cast<int>(i);
    cudaDeviceProp properties{};
    if (cudaGetDeviceProperties(&properties, gpu.index) == cudaSuccess) {
      gpu.name = properties.name;
      gpu.major = properties.major;
      gpu.minor = properties.minor;
    }
    library.fill_memory(gpu);
  }
  return gpus;
}

void require_compiled_for(const Gpu& gpu) {
  if (runs_on(FOREGATE_CUDA_ARCHITECTURES, gpu)) return;
  throw DeviceError(fmt::format(
      "cuda:{} ({}) has compute capability {}.{}; this foregate has kernels for {}. Use another "
      "GPU, or rebuild with CMAKE_CUDA_ARCHITECTURES={}{}",
      gpu.index, gpu.name, gpu.major, gpu.minor, FOREGATE_CUDA_ARCHITECTURES, gpu.major,
      gpu.minor));
}

#else

std::vector<Gpu> visible_gpus() {
  return {};
}

void require_compiled_for(const Gpu& /*gpu*/) {}

#endif

}  // namespace foregate::tensor
