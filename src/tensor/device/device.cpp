#include "tensor/device/device.h"

#include <fmt/core.h>
#include <torch/types.h>

#include <charconv>
#include <vector>

#include "base/error.h"
#include "base/number_text.h"
#include "tensor/device/gpus.h"

namespace foregate::tensor {
namespace {

constexpr std::string_view kCuda = "cuda";

int parse_index(const std::string& name) {
  if (name == kCuda) return 0;
  int index = -1;
  const char* end = name.data() + name.size();
  const bool prefixed = name.starts_with(std::string(kCuda) + ":");
  const char* begin = prefixed ? name.data() + kCuda.size() + 1 : end;
  const auto [stop, error] = std::from_chars(begin, end, index);
  if (error != std::errc() || stop != end || index < 0) {
    throw UsageError(fmt::format("device \"{}\" is not known; use cpu, cuda or cuda:N", name));
  }
  return index;
}

}  // namespace

torch::Device parse_device(const std::string& name) {
  if (name == "cpu") return torch::Device(torch::kCPU);
  const int index = parse_index(name);
  if (!at::hasCUDA()) {
    throw DeviceError(fmt::format(
        "device \"{}\": this foregate was built with a CPU-only libtorch; use --device cpu, or "
        "rebuild with a CUDA torch wheel",
        name));
  }
  const std::vector<Gpu> gpus = visible_gpus();
  if (gpus.empty()) {
    throw DeviceError(fmt::format(
        "device \"{}\": no CUDA device is visible; check nvidia-smi and CUDA_VISIBLE_DEVICES, or "
        "use --device cpu",
        name));
  }
  if (index >= static_cast<int>(gpus.size())) {
    throw DeviceError(
        fmt::format("device \"{}\": this machine shows {}, numbered from 0; use a smaller number",
                    name, number_of(std::ssize(gpus), "CUDA device")));
  }
  require_compiled_for(gpus[static_cast<size_t>(index)]);
  return torch::Device(torch::kCUDA, static_cast<c10::DeviceIndex>(index));
}

torch::Device choose_device(const std::string& name, Logger& log) {
  if (name != kCuda || !at::hasCUDA()) return parse_device(name);
  const std::vector<Gpu> gpus = visible_gpus();
  if (gpus.size() < 2) return parse_device(name);
  const Gpu& freest = freest_gpu(gpus);
  log.info("using cuda:{}, {}: {} of {} free, the most of {} GPUs", freest.index, freest.name,
           human_bytes(static_cast<uint64_t>(freest.free)),
           human_bytes(static_cast<uint64_t>(freest.total)), gpus.size());
  return parse_device(fmt::format("{}:{}", kCuda, freest.index));
}

}  // namespace foregate::tensor
