#include "tensor/device.h"

#include <fmt/core.h>
#include <torch/cuda.h>

#include <charconv>

#include "base/error.h"

namespace foregate {
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
  const auto count = static_cast<int>(torch::cuda::device_count());
  if (count == 0) {
    throw DeviceError(fmt::format(
        "device \"{}\": no CUDA device is visible; check nvidia-smi and CUDA_VISIBLE_DEVICES, or "
        "use --device cpu",
        name));
  }
  if (index >= count) {
    throw DeviceError(fmt::format(
        "device \"{}\": this machine shows {} CUDA device{}, numbered from 0; use a smaller number",
        name, count, count == 1 ? "" : "s"));
  }
  return torch::Device(torch::kCUDA, static_cast<c10::DeviceIndex>(index));
}

}  // namespace foregate
