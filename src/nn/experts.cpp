#include "nn/experts.h"

#include <ATen/Parallel.h>
#include <torch/torch.h>

#include <algorithm>
#include <atomic>

#include "nn/expert_grouping.h"
#include "nn/mlp.h"

namespace foregate::nn {
namespace {

constexpr int64_t kGrainTokens = 32;
constexpr int64_t kMostSlots = 192;

// Buffers of the packed run, one row a slot.
struct Buffers {
  torch::Tensor inputs;   ///< [T * k, H]
  torch::Tensor gates;    ///< [T * k]
  torch::Tensor inner;    ///< [T * k, I]
  torch::Tensor outputs;  ///< [T * k, H]
};

void gather(const ExpertTask& task, const ExpertGrouping& grouping, const torch::Tensor& x,
            const Routing& routing, Buffers& buffers) {
  const int64_t hidden = x.size(1);
  const int64_t k = routing.experts.size(1);
  const float* rows = x.const_data_ptr<float>();
  const float* gate_weights = routing.gate_weights.const_data_ptr<float>();
  float* inputs = buffers.inputs.mutable_data_ptr<float>();
  float* gates = buffers.gates.mutable_data_ptr<float>();
  for (int64_t slot = task.first; slot < task.first + task.count; ++slot) {
    const int64_t pair = grouping.pairs[slot];
    std::copy_n(rows + pair / k * hidden, hidden, inputs + slot * hidden);
    gates[slot] = gate_weights[pair];
  }
}

void run(const ExpertTask& task, const PackedWeight& gate_up, const PackedWeight& down,
         Buffers& buffers) {
  const int64_t hidden = gate_up.depth();
  const int64_t width = gate_up.columns;
  float* inner = buffers.inner.mutable_data_ptr<float>() + task.first * width;
  multiply(gate_up, {.x = buffers.inputs.const_data_ptr<float>() + task.first * hidden,
                     .x_stride = hidden,
                     .rows = task.count,
                     .out = inner,
                     .out_stride = width,
                     .epilogue = GemmEpilogue::kSiluMultiply,
                     .scale = buffers.gates.const_data_ptr<float>() + task.first});
  multiply(down, {.x = inner,
                  .x_stride = width,
                  .rows = task.count,
                  .out = buffers.outputs.mutable_data_ptr<float>() + task.first * hidden,
                  .out_stride = hidden});
}

// Adds each token's outputs, in rank order, to its row of the sum.
void combine(const torch::Tensor& outputs, const std::vector<int64_t>& slots, int64_t k,
             torch::Tensor& sum) {
  const int64_t hidden = sum.size(1);
  const float* rows = outputs.const_data_ptr<float>();
  float* result = sum.mutable_data_ptr<float>();
  at::parallel_for(0, sum.size(0), kGrainTokens, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      for (int64_t pair = t * k; pair < (t + 1) * k; ++pair) {
        const float* row = rows + slots[pair] * hidden;
        for (int64_t h = 0; h < hidden; ++h) result[t * hidden + h] += row[h];
      }
    }
  });
}

}  // namespace

Experts::Experts(const ExpertWeights& weights) {
  TORCH_CHECK(weights.gate_up.dim() == 3 && weights.down.dim() == 3 &&
                  weights.gate_up.size(1) == 2 * weights.down.size(2),
              "experts: weights are ", weights.gate_up.sizes(), " and ", weights.down.sizes(),
              "; expected [E, 2I, H] and [E, H, I]");
  if (!can_pack(weights.gate_up)) {
    weights_ = weights;
    return;
  }
  for (int64_t expert = 0; expert < weights.gate_up.size(0); ++expert) {
    packed_gate_up_.push_back(pack_gate_up(weights.gate_up[expert]));
    packed_down_.push_back(pack(weights.down[expert]));
  }
}

void Experts::add_to(torch::Tensor& sum, const torch::Tensor& x, const Routing& routing) const {
  TORCH_CHECK(x.dim() == 2 && sum.sizes() == x.sizes() && routing.experts.dim() == 2 &&
                  x.size(0) == routing.experts.size(0),
              "experts: x is ", x.sizes(), ", sum ", sum.sizes(), ", experts ",
              routing.experts.sizes(), "; expected [T, H], [T, H] and [T, k]");
  if (x.size(0) == 0) return;
  if (weights_.gate_up.defined()) {
    add_aten(sum, x, routing);
  } else {
    add_packed(sum, x, routing);
  }
}

void Experts::add_packed(torch::Tensor& sum, const torch::Tensor& x, const Routing& routing) const {
  TORCH_CHECK(x.size(1) == packed_gate_up_[0].depth() && x.is_contiguous() && sum.is_contiguous() &&
                  routing.gate_weights.is_contiguous(),
              "experts: x is ", x.sizes(), "; expected contiguous [T, ", packed_gate_up_[0].depth(),
              "]");
  const int64_t pairs = routing.experts.numel();
  const ExpertGrouping grouping =
      group_by_expert(routing.experts, static_cast<int64_t>(packed_gate_up_.size()));
  const std::vector<ExpertTask> tasks = expert_tasks(grouping, kMostSlots);
  Buffers buffers{torch::empty({pairs, x.size(1)}, x.options()), torch::empty({pairs}, x.options()),
                  torch::empty({pairs, packed_gate_up_[0].columns}, x.options()),
                  torch::empty({pairs, x.size(1)}, x.options())};
  std::vector<int64_t> slots(pairs);
  for (int64_t slot = 0; slot < pairs; ++slot) slots[grouping.pairs[slot]] = slot;
  // Threads take the next task when they are free.
  std::atomic<size_t> next{0};
  at::parallel_for(0, at::get_num_threads(), 1, [&](int64_t /*begin*/, int64_t /*end*/) {
    for (size_t i = next++; i < tasks.size(); i = next++) {
      gather(tasks[i], grouping, x, routing, buffers);
      run(tasks[i], packed_gate_up_[tasks[i].expert], packed_down_[tasks[i].expert], buffers);
    }
  });
  combine(buffers.outputs, slots, routing.experts.size(1), sum);
}

// Pairs sorted by expert, one product an expert, outputs weighted and added up in float32.
void Experts::add_aten(torch::Tensor& sum, const torch::Tensor& x, const Routing& routing) const {
  const int64_t num_experts = weights_.gate_up.size(0);
  const int64_t k = routing.experts.size(1);
  const torch::Tensor chosen = routing.experts.reshape(-1);
  const torch::Tensor pairs =
      std::get<1>(chosen.sort(/*stable=*/true, /*dim=*/0, /*descending=*/false));
  const torch::Tensor counts = torch::bincount(chosen, {}, num_experts).cpu();
  const torch::Tensor inputs = x.index_select(0, pairs.floor_divide(k));
  torch::Tensor outputs = torch::empty_like(inputs);
  int64_t first = 0;
  for (int64_t expert = 0; expert < num_experts; ++expert) {
    const int64_t count = counts[expert].item<int64_t>();
    if (count == 0) continue;
    const torch::Tensor inner =
        silu_and_multiply(at::linear(inputs.narrow(0, first, count), weights_.gate_up[expert]));
    outputs.narrow(0, first, count).copy_(at::linear(inner, weights_.down[expert]));
    first += count;
  }
  const torch::Tensor by_pair = torch::empty_like(outputs).index_copy_(0, pairs, outputs);
  const torch::Tensor ranked = by_pair.view({x.size(0), k, x.size(1)}).to(torch::kFloat32);
  sum.add_((ranked * routing.gate_weights.unsqueeze(-1)).sum(1).to(x.scalar_type()));
}

}  // namespace foregate::nn
