#include "engine/roofline.h"

#include <torch/types.h>

#include <algorithm>

#include "base/stopwatch.h"
#include "tensor/device/transfer.h"

namespace foregate::engine {
namespace {

constexpr int64_t kGpuSize = 8192;
constexpr int64_t kCpuSize = 1024;
constexpr int kRounds = 10;
constexpr double kFused = 2;  // a multiplication and an addition

double mlp_products(int64_t hidden, int64_t inner) {
  return 3.0 * static_cast<double>(hidden) * static_cast<double>(inner);
}

}  // namespace

double routing_flops_per_token(const models::ModelConfig& config, double length) {
  const auto hidden = static_cast<double>(config.hidden_size);
  const auto query = static_cast<double>(config.num_heads * config.head_dim);
  const auto kv = static_cast<double>(config.num_kv_heads * config.head_dim);
  const double attention = hidden * (query + 2 * kv) + query * hidden + query * length;
  const double router = hidden * static_cast<double>(config.num_experts);
  const double experts = static_cast<double>(config.top_k) *
                             mlp_products(config.hidden_size, config.expert_intermediate_size) +
                         mlp_products(config.hidden_size, config.shared_intermediate_size);
  const int last = config.moe_layers.back();
  double products = 0;
  for (int layer = 0; layer <= last; ++layer) {
    products += attention;
    if (!config.is_moe_layer(layer)) {
      products += mlp_products(config.hidden_size, config.dense_intermediate_size);
    } else {
      products += router + (layer < last ? experts : 0);
    }
  }
  return kFused * products;
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
