#include "nn/cuda/experts.h"

#include <torch/types.h>

#include <vector>

#include "nn/cuda/expert_rows.h"
#include "nn/cuda/grouped_linear.h"
#include "nn/linear.h"

namespace foregate::nn {
namespace {

// Rows of whole 16 bytes before, between and behind the two products.
bool has_grouped_product(const torch::Tensor& x, const ExpertWeights& weights) {
  return x.scalar_type() == torch::kBFloat16 && weights.is_plain() &&
         weights.gate_up.size(2) % 8 == 0 && weights.down.size(2) % 8 == 0;
}

// A stack of matrices in the compute dtype, and which of them is each expert's.
struct Stack {
  torch::Tensor weight;    // [S, ...]
  torch::Tensor matrices;  // [E] int32, or undefined
};

// Of codes only those that are used are dequantised: there may be far more in the stack than a
// layer has experts.
Stack stack_of(const tensor::Weight& weight, const torch::Tensor& matrices,
               torch::ScalarType dtype) {
  if (!matrices.defined() || !weight.is_quantized()) {
    return {compute_weight(weight, dtype), matrices};
  }
  const torch::Tensor host = matrices.cpu();
  const auto* matrix = host.const_data_ptr<int32_t>();
  std::vector<int64_t> used;
  std::vector<int32_t> places;
  for (int64_t expert = 0; expert < host.size(0); ++expert) {
    places.push_back(matrix[expert] < 0 ? -1 : static_cast<int32_t>(used.size()));
    if (matrix[expert] >= 0) used.push_back(matrix[expert]);
  }
  const torch::Tensor index = torch::tensor(used, torch::kInt64).to(matrices.device());
  const tensor::Weight taken(weight.quantization(), weight.codes().index_select(0, index),
                             weight.scales().index_select(0, index), weight.size(-1));
  return {compute_weight(taken, dtype), torch::tensor(places, torch::kInt32).to(matrices.device())};
}

class ExpertOutputsCuda : public ExpertOutputs {
 public:
  ExpertOutputsCuda(const torch::Tensor& x, const Routing& routing, int64_t num_experts)
      : x_(x),
        gates_(routing.gate_weights),
        order_(sort_by_expert_cuda(routing.experts, num_experts)),
        outputs_(torch::empty({order_.tokens.size(0), x.size(1)}, x.options())) {}

  void run(const ExpertWeights& weights) override {
    if (has_grouped_product(x_, weights)) {
      run_grouped(weights);
    } else {
      run_by_expert(weights);
    }
  }

  void add_to(torch::Tensor& residual) override {
    combine_rows_cuda(residual, outputs_, order_.slots, gates_);
  }

 private:
  // One product over all experts, then one more.
  void run_grouped(const ExpertWeights& weights) {
    torch::Tensor inner;
    {
      const Stack gate_up = stack_of(weights.gate_up, weights.matrices, x_.scalar_type());
      inner = grouped_linear_cuda(x_, {.weight = gate_up.weight,
                                       .ends = order_.ends,
                                       .matrices = gate_up.matrices,
                                       .order = &order_,
                                       .silu_product = true});
    }
    const Stack down = stack_of(weights.down, weights.matrices, x_.scalar_type());
    grouped_linear_cuda(
        inner,
        {.weight = down.weight, .ends = order_.ends, .matrices = down.matrices, .out = outputs_});
  }

  // What the grouped product does not take, a library's products expert by expert: the host waits
  // for the numbers of rows.
  void run_by_expert(const ExpertWeights& weights) {
    const torch::Tensor rows = dispatch_rows_cuda(x_, order_.slots);
    const torch::Tensor ends = order_.ends.cpu();
    const torch::Tensor matrices =
        weights.matrices.defined() ? weights.matrices.cpu() : torch::Tensor();
    const auto* end = ends.const_data_ptr<int32_t>();
    for (int64_t expert = 0, first = 0; expert < ends.size(0); first = end[expert++]) {
      const int64_t count = end[expert] - first;
      const int64_t matrix =
          matrices.defined() ? matrices.const_data_ptr<int32_t>()[expert] : expert;
      if (count == 0 || matrix < 0) continue;
      const auto bias = [&](const torch::Tensor& all) { return all.defined() ? all[expert] : all; };
      const torch::Tensor gate_up =
          linear(rows.narrow(0, first, count), weights.gate_up[matrix], bias(weights.gate_up_bias));
      outputs_.narrow(0, first, count)
          .copy_(linear(gated_product(gate_up, weights.activation), weights.down[matrix],
                        bias(weights.down_bias)));
    }
  }

  torch::Tensor x_;
  torch::Tensor gates_;
  ExpertOrder order_;
  torch::Tensor outputs_;  // [T * k, H], sorted by expert
};

}  // namespace

std::unique_ptr<ExpertOutputs> make_expert_outputs_cuda(const torch::Tensor& x,
                                                        const Routing& routing,
                                                        int64_t num_experts) {
  return std::make_unique<ExpertOutputsCuda>(x, routing, num_experts);
}

}  // namespace foregate::nn
