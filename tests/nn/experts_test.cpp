#include "nn/experts.h"

#include "compare.h"
#include "experts_aten.h"
#include "stacked_experts.h"

namespace foregate {
namespace {

using testing::expect_close;

class ExpertsTest : public testing::DtypeTest {
 protected:
  nn::ExpertWeights weights(int64_t experts) const {
    return {random({experts, 2 * kInner, kHidden}) * 0.2, random({experts, kHidden, kInner}) * 0.2};
  }

  static torch::Tensor activated(const torch::Tensor& gate, const torch::Tensor& up,
                                 const nn::GatedActivation& activation) {
    if (activation.kind == nn::GatedActivation::Kind::kSwiglu) return torch::silu(gate) * up;
    const torch::Tensor low = gate.clamp_max(activation.limit);
    return (up.clamp(-activation.limit, activation.limit) + 1) * low *
           torch::sigmoid(activation.alpha * low);
  }

  // Token by token, expert by expert, in float64.
  static torch::Tensor reference(const torch::Tensor& x, const nn::Routing& routing,
                                 const nn::ExpertWeights& weights) {
    torch::Tensor result = torch::zeros(x.sizes(), torch::kFloat64);
    for (int64_t t = 0; t < x.size(0); ++t) {
      for (int64_t rank = 0; rank < routing.experts.size(1); ++rank) {
        const int64_t e = routing.experts[t][rank].item<int64_t>();
        torch::Tensor rows =
            torch::mv(weights.gate_up.dense()[e].to(torch::kFloat64), x[t].to(torch::kFloat64));
        if (weights.gate_up_bias.defined()) rows += weights.gate_up_bias[e];
        const torch::Tensor inner =
            activated(rows.slice(0, 0, kInner), rows.slice(0, kInner), weights.activation);
        torch::Tensor output = torch::mv(weights.down.dense()[e].to(torch::kFloat64), inner);
        if (weights.down_bias.defined()) output += weights.down_bias[e];
        result[t] += output * routing.gate_weights[t][rank].item<double>();
      }
    }
    return result;
  }

  // What add_experts adds.
  static torch::Tensor experts(const torch::Tensor& x, const nn::Routing& routing,
                               const nn::ExpertWeights& weights) {
    torch::Tensor sum = torch::zeros_like(x);
    nn::add_experts(sum, x, routing, weights);
    return sum;
  }

  static constexpr int64_t kHidden = 24;
  static constexpr int64_t kInner = 10;
};

TEST_P(ExpertsTest, MatchesTheFormula) {
  for (const int64_t tokens : {0, 1, 31, 32, 33, 200}) {
    for (const int64_t k : {1, 4}) {
      const torch::Tensor x = random({tokens, kHidden});
      const nn::ExpertWeights layer = weights(7);
      const nn::Routing routing = nn::route(torch::randn({tokens, 7}), {}, {}, k);
      expect_close(experts(x, routing, layer), reference(x, routing, layer), tolerance());
    }
  }
}

// As in gpt-oss. The limit is low enough to cut off gates and ups.
TEST_P(ExpertsTest, BiasesAndClampedSwiglu) {
  nn::ExpertWeights layer = weights(7);
  layer.gate_up_bias = random({7, 2 * kInner});
  layer.down_bias = random({7, kHidden});
  layer.activation = {nn::GatedActivation::Kind::kClampedSwiglu, 0.7, 1.702};
  for (const int64_t tokens : {1, 33}) {
    const torch::Tensor x = random({tokens, kHidden});
    const nn::Routing routing = nn::route(torch::randn({tokens, 7}), {}, {}, 3);
    expect_close(experts(x, routing, layer), reference(x, routing, layer), tolerance());
  }
}

// The same by other operations, whatever the sizes: what is left out of a sum shows.
TEST_P(ExpertsTest, MatchesAten) {
  for (const int64_t tokens : {1, 33, 500}) {
    const torch::Tensor x = random({tokens, kHidden});
    const nn::ExpertWeights layer = weights(60);
    const nn::Routing routing = nn::route(torch::randn({tokens, 60}), {.norm_topk = true}, {}, 6);
    expect_close(experts(x, routing, layer), testing::experts_aten(x, routing, layer), tolerance());
  }
}

TEST_P(ExpertsTest, AddsToWhatIsThere) {
  const torch::Tensor x = random({31, kHidden});
  const nn::ExpertWeights layer = weights(7);
  const nn::Routing routing = nn::route(torch::randn({31, 7}), {}, {}, 2);
  torch::Tensor residual = x.clone();
  nn::add_experts(residual, x, routing, layer);
  EXPECT_TRUE(torch::equal(residual, x + experts(x, routing, layer)));
}

TEST_P(ExpertsTest, AllTokensToOneExpert) {
  const torch::Tensor x = random({33, kHidden});
  const nn::ExpertWeights layer = weights(5);
  const nn::Routing routing{torch::full({33, 1}, 4, torch::kInt64), torch::ones({33, 1})};
  expect_close(experts(x, routing, layer), reference(x, routing, layer), tolerance());
}

TEST_P(ExpertsTest, QuantizedRunAsTheirDequantizedWeights) {
  const torch::Tensor x = random({33, kHidden});
  const nn::ExpertWeights plain = weights(5);
  const nn::Routing routing = nn::route(torch::randn({33, 5}), {}, {}, 2);
  for (const tensor::Quantization kind :
       {tensor::Quantization::kInt8, tensor::Quantization::kNf4}) {
    nn::ExpertWeights quantized;
    for (const auto member : {&nn::ExpertWeights::gate_up, &nn::ExpertWeights::down}) {
      quantized.*member =
          tensor::Weight::empty((plain.*member).sizes(), kind, torch::kCPU, x.scalar_type());
      (quantized.*member).assign(plain.*member, "test");
    }
    const nn::ExpertWeights dense{quantized.gate_up.dequantize(x.scalar_type()),
                                  quantized.down.dequantize(x.scalar_type())};
    const torch::Tensor result = experts(x, routing, quantized);
    EXPECT_TRUE(torch::equal(result, experts(x, routing, dense)));
    expect_close(result, reference(x, routing, dense), tolerance());
  }
}

// Matrices that lie in any order in a larger stack, all at once and in two parts: no bit changes.
TEST_P(ExpertsTest, StackedMatricesRunAsTheExpertsOwn) {
  constexpr int64_t kExperts = 7;
  constexpr int64_t kStacked = 11;
  for (const tensor::Quantization kind :
       {tensor::Quantization::kNone, tensor::Quantization::kInt8, tensor::Quantization::kNf4}) {
    nn::ExpertWeights own = testing::quantized(weights(kExperts), kind);
    own.gate_up_bias = random({kExperts, 2 * kInner});
    own.down_bias = random({kExperts, kHidden});
    for (const int64_t tokens : {1, 9, 200}) {
      const torch::Tensor x = random({tokens, kHidden});
      const nn::Routing routing = nn::route(torch::randn({tokens, kExperts}), {}, {}, 3);
      const torch::Tensor expected = experts(x, routing, own);
      const testing::StackedExperts stacked = testing::stacked(own, kStacked);
      EXPECT_TRUE(torch::equal(experts(x, routing, stacked.all), expected));
      const auto outputs = nn::make_expert_outputs(x, routing, kExperts);
      outputs->run(stacked.first);
      outputs->run(stacked.rest);
      torch::Tensor sum = torch::zeros_like(x);
      outputs->add_to(sum);
      EXPECT_TRUE(torch::equal(sum, expected)) << tokens << " tokens";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Dtypes, ExpertsTest, testing::compute_dtypes());

}  // namespace
}  // namespace foregate
