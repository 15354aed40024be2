#include "engine/roofline.h"

#include <torch/types.h>

#include <algorithm>

#include "base/stopwatch.h"
#include "models/weights/layer_spec.h"
#include "tensor/device/transfer.h"

namespace foregate::engine {
namespace {

constexpr int64_t kGpuSize = 8192;
constexpr int64_t kCpuSize = 1024;
constexpr int kRounds = 10;
constexpr double kFused = 2;  // a multiplication and an addition

// Multiplications that one token takes with a weight. Vectors and the shared expert's gate are not
// counted.
double products(const models::WeightSpec& spec, const models::ModelConfig& config) {
  if (spec.keep == models::Keep::kComputeDtype || spec.shape.size() < 2) return 0;
  const auto size = static_cast<double>(spec.size());
  if (spec.role != models::Role::kRoutedExperts) return size;
  return size / static_cast<double>(config.num_experts) * static_cast<double>(config.top_k);
}

// Multiplications of a token's queries with half the keys of its text, and of the values of these.
double score_products(const models::GroupedQueryConfig& attention, double length) {
  return static_cast<double>(attention.query_size()) * length;
}

double score_products(const models::LatentConfig& attention, double length) {
  return static_cast<double>(attention.query_size() + attention.mixed_size()) / 2 * length;
}

}  // namespace

double routing_flops_per_token(const models::ModelConfig& config, double length) {
  const double scores = std::visit(
      [&](const auto& attention) { return score_products(attention, length); }, config.attention);
  const int last = config.moe_layers.back();
  double total = 0;
  for (int layer = 0; layer <= last; ++layer) {
    total += scores;
    for (const models::WeightSpec& spec : models::describe_layer(config, {}, layer)) {
      if (layer < last || spec.role == models::Role::kRouting) total += products(spec, config);
    }
  }
  return kFused * total;
}

double measured_gemm_rate(torch::Device device, torch::ScalarType dtype) {
  const c10::InferenceMode guard;
  const int64_t size = device.is_cpu() ? kCpuSize : kGpuSize;
  const auto options = torch::TensorOptions().device(device).dtype(dtype);
  const torch::Tensor a = torch::randn({size, size}, options);
  const torch::Tensor b = torch::randn({size, size}, options);
  torch::Tensor c = at::mm(a, b);
  for (int round = 0; round < kRounds; ++round) at::mm_out(c, a, b);  // clocks and caches warm
  Stopwatch clock;
  clock.start();
  const tensor::DeviceEvent first = tensor::record_event(device);
  for (int round = 0; round < kRounds; ++round) at::mm_out(c, a, b);
  const double on_device = tensor::seconds_between(first, tensor::record_event(device));
  const double seconds = device.is_cpu() ? clock.seconds() : on_device;
  return kFused * kRounds * static_cast<double>(size * size * size) / seconds;
}

}  // namespace foregate::engine
