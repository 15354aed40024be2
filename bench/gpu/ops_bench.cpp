// Times the steps of one Qwen1.5-MoE-A2.7B layer on a GPU, each alone, in bfloat16:
//   foregate_bench_gpu_ops [TOKENS]
// One line a step: milliseconds (median of the rounds), and what they come to in TB/s of the fewest
// bytes the step must move and in TFLOP/s of its products.

#include <fmt/core.h>
#include <torch/types.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "nn/attention/attention.h"
#include "nn/cuda/activation.h"
#include "nn/cuda/attention.h"
#include "nn/cuda/expert_rows.h"
#include "nn/cuda/grouped_linear.h"
#include "nn/experts.h"
#include "nn/linear.h"
#include "nn/mlp.h"
#include "nn/qkv.h"
#include "nn/rms_norm.h"
#include "nn/rope.h"
#include "tensor/device/transfer.h"

namespace foregate {
namespace {

constexpr int64_t kHidden = 2048;
constexpr int64_t kExperts = 60;
constexpr int64_t kTopK = 4;
constexpr int64_t kInner = 1408;
constexpr int64_t kSharedInner = 5632;
constexpr int64_t kTextTokens = 288;
constexpr int kRounds = 15;
constexpr double kBytes = 2;  // of a bfloat16

torch::Tensor draw(at::IntArrayRef shape) {
  return torch::randn(shape, torch::dtype(torch::kBFloat16).device(torch::kCUDA)) * 0.02;
}

double median_seconds(const std::function<void()>& step) {
  for (int i = 0; i < 3; ++i) step();
  std::vector<double> seconds;
  for (int i = 0; i < kRounds; ++i) {
    const tensor::DeviceEvent begin = tensor::record_event(torch::kCUDA);
    step();
    seconds.push_back(tensor::seconds_between(begin, tensor::record_event(torch::kCUDA)));
  }
  std::nth_element(seconds.begin(), seconds.begin() + kRounds / 2, seconds.end());
  return seconds[kRounds / 2];
}

class Table {
 public:
  // `values`: how many bfloat16 values the step must at least read and write.
  void row(const std::string& name, double values, double flops,
           const std::function<void()>& step) {
    const double seconds = median_seconds(step);
    total_ += seconds;
    fmt::print("{:<28} {:8.3f} ms", name, seconds * 1e3);
    if (values > 0) fmt::print(" {:7.2f} TB/s", values * kBytes / seconds * 1e-12);
    if (flops > 0) fmt::print(" {:7.0f} TFLOP/s", flops / seconds * 1e-12);
    fmt::print("\n");
  }
  double total() const { return total_; }

 private:
  double total_ = 0;
};

void bench(int64_t tokens) {
  const c10::InferenceMode guard;
  const auto t = static_cast<double>(tokens);
  const double h = kHidden;
  const nn::AttentionShape shape{16, 16, 128};
  std::vector<int32_t> cu_seqlens;
  for (int64_t i = 0; i < tokens; i += kTextTokens) cu_seqlens.push_back(static_cast<int32_t>(i));
  cu_seqlens.push_back(static_cast<int32_t>(tokens));
  const nn::PackedTexts texts(cu_seqlens, torch::kCUDA);
  const torch::Tensor positions =
      torch::arange(tokens, torch::dtype(torch::kInt64).device(torch::kCUDA)) % kTextTokens;
  nn::Rope rope(nn::plain_rotary(128, 1e6), torch::kCUDA, torch::kBFloat16);
  torch::Tensor residual = draw({tokens, kHidden});
  const torch::Tensor norm = draw({kHidden});
  const torch::Tensor qkv_weight = draw({3 * kHidden, kHidden});
  const torch::Tensor qkv_bias = draw({3 * kHidden});
  const torch::Tensor o_weight = draw({kHidden, kHidden});
  const torch::Tensor router = draw({kExperts, kHidden}).to(torch::kFloat32);
  const nn::ExpertWeights experts{draw({kExperts, 2 * kInner, kHidden}),
                                  draw({kExperts, kHidden, kInner})};
  const nn::MlpWeights shared{draw({2 * kSharedInner, kHidden}), draw({kHidden, kSharedInner})};
  const torch::Tensor shared_gate = draw({1, kHidden});

  Table table;
  torch::Tensor x;
  table.row("norm (twice a layer)", 2 * t * h, 0, [&] { x = nn::rms_norm(residual, norm, 1e-6); });
  torch::Tensor qkv;
  table.row("qkv, rotated", 0, 6 * t * h * h, [&] {
    qkv =
        nn::rotated_qkv(x, {qkv_weight, qkv_bias, {}, {}}, shape, rope, positions, kTextTokens - 1);
  });
  torch::Tensor mixed;
  table.row("attention", 4 * t * h, 0, [&] { mixed = nn::attention(qkv, texts, shape); });
  table.row("o product, added", 0, 2 * t * h * h,
            [&] { nn::add_linear(residual, mixed, o_weight); });
  table.row("norm", 2 * t * h, 0, [&] { x = nn::rms_norm(residual, norm, 1e-6); });
  torch::Tensor logits;
  table.row("router logits", t * h, 2 * t * h * kExperts,
            [&] { logits = nn::router_logits(x, router); });
  nn::Routing routing;
  table.row("softmax and top-k", 2 * t * kExperts, 0,
            [&] { routing = nn::route(logits, {}, {}, kTopK); });
  nn::ExpertOrder order;
  table.row("sort by expert", 8 * t * kTopK, 0,
            [&] { order = nn::sort_by_expert_cuda(routing.experts, kExperts); });
  torch::Tensor inner;
  table.row("experts up, silu product", 0, 4 * kTopK * t * h * kInner, [&] {
    inner = nn::grouped_linear_cuda(x, {.weight = experts.gate_up.dense(),
                                        .ends = order.ends,
                                        .order = &order,
                                        .silu_product = true});
  });
  torch::Tensor outputs;
  table.row("experts down", 0, 2 * kTopK * t * h * kInner, [&] {
    outputs = nn::grouped_linear_cuda(inner, {.weight = experts.down.dense(), .ends = order.ends});
  });
  table.row("combine", (2 + kTopK) * t * h, 0,
            [&] { nn::combine_rows_cuda(residual, outputs, order.slots, routing.gate_weights); });
  torch::Tensor gate;
  table.row("shared gate", t * h, 0, [&] { gate = nn::sigmoid_gate_cuda(x, shared_gate); });
  table.row("shared up, silu product", 0, 4 * t * h * kSharedInner, [&] {
    inner = nn::grouped_linear_cuda(
        x, {.weight = shared.gate_up.dense(), .silu_product = true, .row_scale = gate});
  });
  table.row("shared down, added", 0, 2 * t * h * kSharedInner,
            [&] { residual.addmm_(inner, shared.down.dense().t()); });
  const double total = table.total();
  table.row("(attention of the library)", 4 * t * h, 0,
            [&] { mixed = nn::flash_attention_cuda(qkv, texts, shape); });
  table.row("(linear, qkv)", 0, 6 * t * h * h, [&] { qkv = at::linear(x, qkv_weight, qkv_bias); });
  table.row("(rope)", 4 * t * h, 0, [&] {
    rope.apply(qkv.narrow(1, 0, 32 * 128).view({tokens, 32, 128}), positions, kTextTokens - 1);
  });
  torch::Tensor rows;
  table.row("(dispatch rows)", (1 + kTopK) * t * h, 0,
            [&] { rows = nn::dispatch_rows_cuda(x, order.slots); });
  table.row("(experts up of those rows)", 0, 4 * kTopK * t * h * kInner, [&] {
    inner = nn::grouped_linear_cuda(
        rows, {.weight = experts.gate_up.dense(), .ends = order.ends, .silu_product = true});
  });
  torch::Tensor gate_up;
  table.row("(grouped_mm, experts up)", 0, 4 * kTopK * t * h * kInner, [&] {
    gate_up = at::_grouped_mm(rows, experts.gate_up.dense().transpose(1, 2), order.ends);
  });
  table.row("(silu product)", 3 * kTopK * t * kInner, 0,
            [&] { inner = nn::silu_product_cuda(gate_up, {}); });
  table.row("(grouped_mm, experts down)", 0, 2 * kTopK * t * h * kInner, [&] {
    outputs = at::_grouped_mm(inner, experts.down.dense().transpose(1, 2), order.ends);
  });
  table.row("(linear, shared up)", 0, 4 * t * h * kSharedInner,
            [&] { gate_up = at::linear(x, shared.gate_up.dense()); });
  for (const tensor::Quantization quantization :
       {tensor::Quantization::kInt8, tensor::Quantization::kNf4}) {
    tensor::Weight weight = tensor::Weight::empty({kExperts, 2 * kInner, kHidden}, quantization,
                                                  torch::kCUDA, torch::kBFloat16);
    weight.assign(experts.gate_up, "experts");
    const double kept = static_cast<double>(weight.nbytes()) / kBytes;
    table.row(fmt::format("(experts up from {})", tensor::quantization_name(quantization)),
              kept + static_cast<double>(experts.gate_up.dense().numel()), 0,
              [&] { gate_up = nn::compute_weight(weight, torch::kBFloat16); });
  }
  fmt::print("{:<28} {:8.3f} ms at {} tokens; what is in brackets is not among them\n",
             "the layer's steps", total * 1e3, tokens);
}

}  // namespace
}  // namespace foregate

int main(int argc, char** argv) {
  try {
    foregate::bench(argc > 1 ? std::stoll(argv[1]) : 32768);
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
  return 0;
}
