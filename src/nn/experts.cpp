#include "nn/experts.h"

#include <ATen/Parallel.h>
#include <torch/types.h>

#include <algorithm>
#include <atomic>
#include <numeric>
#include <vector>

#include "nn/cuda/available.h"
#include "nn/cuda/experts.h"
#include "nn/cuda/thin.h"
#include "nn/few_rows.h"
#include "nn/linear.h"
#include "nn/thread_share.h"

namespace foregate::nn {
namespace {

constexpr int64_t kExpertGrain = 32;

// The T * k (token, rank) pairs grouped by expert; a pair's place is its slot.
struct Grouping {
  std::vector<int64_t> offsets;  ///< [E + 1] first slot of each expert
  torch::Tensor tokens;          ///< [T * k] int64, token of each slot, rising within an expert
  std::vector<int64_t> slots;    ///< [T * k] slot of each (token, rank)
};

// Counting sort, stable.
Grouping group_by_expert(const torch::Tensor& chosen, int64_t num_experts) {
  const int64_t pairs = chosen.numel();
  const int64_t k = chosen.size(1);
  const auto* expert = chosen.const_data_ptr<int64_t>();
  Grouping grouping{std::vector<int64_t>(num_experts + 1, 0), torch::empty({pairs}, torch::kInt64),
                    std::vector<int64_t>(pairs)};
  for (int64_t i = 0; i < pairs; ++i) ++grouping.offsets[expert[i] + 1];
  std::partial_sum(grouping.offsets.begin(), grouping.offsets.end(), grouping.offsets.begin());
  std::vector<int64_t> next(grouping.offsets.begin(), grouping.offsets.end() - 1);
  auto* token = grouping.tokens.mutable_data_ptr<int64_t>();
  for (int64_t i = 0; i < pairs; ++i) {
    const int64_t slot = next[expert[i]]++;
    token[slot] = i / k;
    grouping.slots[i] = slot;
  }
  return grouping;
}

// Busy experts first, so that the last ones that threads take are short.
std::vector<int64_t> by_falling_load(const std::vector<int64_t>& offsets) {
  std::vector<int64_t> order(offsets.size() - 1);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return offsets[a + 1] - offsets[a] > offsets[b + 1] - offsets[b];
  });
  return order;
}

// x * matrix^T, plus the expert's row of biases if there are any.
void product_out(torch::Tensor& result, const torch::Tensor& x, const tensor::Weight& weight,
                 const torch::Tensor& biases, int64_t expert) {
  const torch::Tensor matrix = compute_weight(weight, x.scalar_type());
  const torch::Tensor bias = biases.defined() ? biases[expert] : biases;
  if (has_few_rows(x, matrix)) {
    few_rows_linear(result, x, matrix, bias);
  } else if (bias.defined()) {
    at::addmm_out(result, bias, x, matrix.t());
  } else {
    at::mm_out(result, x, matrix.t());
  }
}

// One expert on its tokens. Runs on one thread: its products are too small to share. Quantised
// weights are dequantised here, so that each thread holds one matrix in the compute dtype at a
// time.
void run_expert(const torch::Tensor& x, const torch::Tensor& tokens, const ExpertWeights& weights,
                int64_t expert, int64_t matrix, torch::Tensor result) {
  torch::Tensor gate_up = torch::empty({tokens.size(0), weights.gate_up.size(1)}, x.options());
  product_out(gate_up, x.index_select(0, tokens), weights.gate_up[matrix], weights.gate_up_bias,
              expert);
  product_out(result, gated_product(gate_up, weights.activation), weights.down[matrix],
              weights.down_bias, expert);
}

// Experts that are there on their tokens, one slot a row; threads take the next expert when they
// are free.
void run_experts(const torch::Tensor& x, const Grouping& grouping, const ExpertWeights& weights,
                 torch::Tensor& outputs) {
  const int32_t* matrices =
      weights.matrices.defined() ? weights.matrices.const_data_ptr<int32_t>() : nullptr;
  const std::vector<int64_t> order = by_falling_load(grouping.offsets);
  std::atomic<size_t> next{0};
  const int64_t products =
      outputs.size(0) * (weights.gate_up.size(1) + weights.down.size(2)) * x.size(1);
  at::parallel_for(0, threads_for(products), 1, [&](int64_t /*begin*/, int64_t /*end*/) {
    const c10::InferenceMode guard;  // thread-local: workers do not inherit the caller's
    for (size_t i = next++; i < order.size(); i = next++) {
      const int64_t expert = order[i];
      const int64_t first = grouping.offsets[expert];
      const int64_t count = grouping.offsets[expert + 1] - first;
      if (count == 0) return;  // and so are all that follow
      const int64_t matrix = matrices == nullptr ? expert : matrices[expert];
      if (matrix < 0) continue;
      if (has_few_rows(x, weights, count)) {
        few_rows_expert(
            outputs.mutable_data_ptr<float>() + first * x.size(1), x,
            {grouping.tokens.const_data_ptr<int64_t>() + first, static_cast<size_t>(count)},
            weights, matrix);
        continue;
      }
      run_expert(x, grouping.tokens.narrow(0, first, count), weights, expert, matrix,
                 outputs.narrow(0, first, count));
    }
  });
}

template <typename Scalar>
void combine(const torch::Tensor& outputs, const Grouping& grouping,
             const torch::Tensor& gate_weights, torch::Tensor& result) {
  const int64_t hidden = outputs.size(1);
  const int64_t k = gate_weights.size(1);
  const auto* output = outputs.const_data_ptr<Scalar>();
  const float* gate = gate_weights.const_data_ptr<float>();
  auto* mixed = result.mutable_data_ptr<Scalar>();
  at::parallel_for(0, result.size(0), kExpertGrain, [&](int64_t begin, int64_t end) {
    std::vector<float> sum(hidden);
    for (int64_t t = begin; t < end; ++t) {
      std::fill(sum.begin(), sum.end(), 0.0F);
      for (int64_t i = t * k; i < (t + 1) * k; ++i) {
        const Scalar* row = output + grouping.slots[i] * hidden;
        for (int64_t h = 0; h < hidden; ++h) sum[h] += gate[i] * static_cast<float>(row[h]);
      }
      for (int64_t h = 0; h < hidden; ++h) mixed[t * hidden + h] = static_cast<Scalar>(sum[h]);
    }
  });
}

class ExpertOutputsCpu : public ExpertOutputs {
 public:
  ExpertOutputsCpu(const torch::Tensor& x, const Routing& routing, int64_t num_experts)
      : x_(x),
        grouping_(group_by_expert(routing.experts.contiguous(), num_experts)),
        gates_(routing.gate_weights.contiguous()),
        outputs_(torch::empty({grouping_.tokens.size(0), x.size(1)}, x.options())) {}

  void run(const ExpertWeights& weights) override { run_experts(x_, grouping_, weights, outputs_); }

  void add_to(torch::Tensor& residual) override {
    torch::Tensor result = torch::empty_like(x_);
    AT_DISPATCH_FLOATING_TYPES_AND2(
        torch::kBFloat16, torch::kFloat16, x_.scalar_type(), "experts",
        [&] { combine<scalar_t>(outputs_, grouping_, gates_, result); });
    residual.add_(result);
  }

 private:
  torch::Tensor x_;
  Grouping grouping_;
  torch::Tensor gates_;
  torch::Tensor outputs_;  // [T * k, H] by slot
};

}  // namespace

std::unique_ptr<ExpertOutputs> make_expert_outputs(const torch::Tensor& x, const Routing& routing,
                                                   int64_t num_experts) {
  if (has_cuda_kernels(x)) return make_expert_outputs_cuda(x, routing, num_experts);
  return std::make_unique<ExpertOutputsCpu>(x, routing, num_experts);
}

void add_experts(torch::Tensor& residual, const torch::Tensor& x, const Routing& routing,
                 const ExpertWeights& weights) {
  TORCH_CHECK(x.dim() == 2 && routing.experts.dim() == 2 && x.size(0) == routing.experts.size(0),
              "experts: x is ", x.sizes(), ", experts ", routing.experts.sizes(),
              "; expected [T, H] and [T, k]");
  TORCH_CHECK(weights.gate_up.dim() == 3 && weights.down.dim() == 3 &&
                  weights.gate_up.size(2) == x.size(1) && weights.down.size(1) == x.size(1),
              "experts: weights are ", weights.gate_up.sizes(), " and ", weights.down.sizes(),
              "; expected [E, 2I, H] and [E, H, I]");
  TORCH_CHECK(!weights.matrices.defined() || (weights.matrices.scalar_type() == torch::kInt32 &&
                                              weights.matrices.is_contiguous()),
              "experts: their matrices are not listed as int32");
  if (x.size(0) == 0) return;
  if (has_thin_experts_cuda(x, weights, {}) && residual.is_contiguous()) {
    add_thin_experts_cuda(residual, x, routing, weights, {}, {}, {});
    return;
  }
  const std::unique_ptr<ExpertOutputs> outputs =
      make_expert_outputs(x, routing, weights.num_experts());
  outputs->run(weights);
  outputs->add_to(residual);
}

void add_experts_and_shared(torch::Tensor& residual, const torch::Tensor& x, const Routing& routing,
                            const ExpertWeights& weights, const MlpWeights& shared,
                            const torch::Tensor& shared_gate, const RowsBeforeNorm& before) {
  if (has_thin_experts_cuda(x, weights, shared) && residual.is_contiguous()) {
    add_thin_experts_cuda(residual, x, routing, weights, shared, shared_gate, before);
    return;
  }
  add_experts(residual, x, routing, weights);
  if (shared.gate_up.defined()) add_mlp(residual, x, shared, shared_gate);
}

}  // namespace foregate::nn
