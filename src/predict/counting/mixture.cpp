#include "predict/counting/mixture.h"

#include <ATen/Parallel.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <vector>

#include "base/random.h"
#include "predict/predictor.h"
#include "predict/texts/routed_text.h"

namespace foregate::predict {
namespace {

constexpr double kMixtureTokens = 16384;
constexpr int kSteps = 30;
constexpr int kHalvings = 20;
constexpr double kWeightRidge = 1e-4;
constexpr double kSmallestGain = 1e-7;  // nats a decision
constexpr int64_t kBlockRows = 256;     // of which evidence and products fit in a core's cache

/// Rows of the problem, laid out for one matrix product.
struct Block {
  torch::Tensor evidence;  // [F, rows * E]
  torch::Tensor target;    // [rows, E], a row's sum is 1
};

/// The negative log-likelihood of some rows, as a sum, with its derivatives.
struct Likelihood {
  double loss = 0;
  torch::Tensor gradient;  // [F]
  torch::Tensor hessian;   // [F, F]
};

double mixture_loss(const Block& block, const torch::Tensor& weights) {
  const torch::Tensor scores = weights.matmul(block.evidence).view_as(block.target);
  return -(block.target * scores.log_softmax(-1)).sum().item<double>();
}

Likelihood derivatives_of(const Block& block, const torch::Tensor& weights) {
  const torch::Tensor scores = weights.matmul(block.evidence).view_as(block.target);
  const torch::Tensor logs = scores.log_softmax(-1);
  const torch::Tensor probability = logs.exp();
  const int64_t rows = block.target.size(0);
  const torch::Tensor weighted = block.evidence * probability.view({1, -1});
  const torch::Tensor mean = weighted.view({weights.size(0), rows, -1}).sum(-1);  // [F, rows]
  return {-(block.target * logs).sum().item<double>(),
          block.evidence.matmul((probability - block.target).view(-1)),
          weighted.matmul(block.evidence.t()) - mean.matmul(mean.t())};
}

class Problem {
 public:
  Problem(const torch::Tensor& evidence, const torch::Tensor& experts, torch::Tensor start,
          double often)
      : start_(std::move(start)), rows_(evidence.size(1)) {
    const int64_t width = evidence.size(2);
    const torch::Tensor chosen =
        multi_hot(experts, width) + (often - 1) * multi_hot(experts.slice(1, 0, 1), width);
    const torch::Tensor target = chosen / (static_cast<double>(experts.size(1)) + often - 1);
    for (int64_t first = 0; first < rows_; first += kBlockRows) {
      const int64_t rows = std::min(kBlockRows, rows_ - first);
      blocks_.push_back({evidence.narrow(1, first, rows).reshape({evidence.size(0), -1}),
                         target.narrow(0, first, rows)});
    }
  }

  double loss(const torch::Tensor& weights) const {
    std::vector<double> losses(blocks_.size());
    each_block([&](size_t i) { losses[i] = mixture_loss(blocks_[i], weights); });
    double sum = 0;
    for (const double loss : losses) sum += loss;
    return sum / static_cast<double>(rows_) + ridge(weights);
  }

  Likelihood derivatives(const torch::Tensor& weights) const {
    std::vector<Likelihood> parts(blocks_.size());
    each_block([&](size_t i) { parts[i] = derivatives_of(blocks_[i], weights); });
    Likelihood all{0, 2 * kWeightRidge * (weights - start_),
                   2 * kWeightRidge * torch::eye(start_.size(0))};
    const auto rows = static_cast<double>(rows_);
    for (const Likelihood& part : parts) {
      all.loss += part.loss / rows;
      all.gradient += part.gradient / rows;
      all.hessian += part.hessian / rows;
    }
    all.loss += ridge(weights);
    return all;
  }

 private:
  double ridge(const torch::Tensor& weights) const {
    return kWeightRidge * (weights - start_).square().sum().item<double>();
  }
  template <typename Work>
  void each_block(const Work& work) const {
    at::parallel_for(0, static_cast<int64_t>(blocks_.size()), 1, [&](int64_t begin, int64_t end) {
      const torch::NoGradGuard no_grad;
      for (int64_t i = begin; i < end; ++i) work(static_cast<size_t>(i));
    });
  }

  const torch::Tensor start_;
  const int64_t rows_;
  std::vector<Block> blocks_;
};

}  // namespace

torch::Tensor fit_log_linear(const torch::Tensor& evidence, const torch::Tensor& experts,
                             const torch::Tensor& start, double first) {
  const torch::NoGradGuard no_grad;
  if (evidence.size(1) == 0) return start;
  const Problem problem(evidence, experts, start, first);
  torch::Tensor weights = start.clone();
  for (int iteration = 0; iteration < kSteps; ++iteration) {
    const Likelihood here = problem.derivatives(weights);
    const torch::Tensor step = torch::linalg_solve(here.hessian, here.gradient);
    const double gain = here.gradient.dot(step).item<double>();
    if (gain < kSmallestGain) break;
    double length = 1;
    for (int i = 0; i < kHalvings && problem.loss(weights - length * step) >= here.loss; ++i) {
      length /= 2;
    }
    weights = weights - length * step;
  }
  return weights;
}

void visit_validation(const RoutedTexts& corpus, uint64_t seed, TextSelection::Features features,
                      const std::function<void(const RoutedText&)>& visit) {
  const TextSelection selection{.split = trace::Split::kValidation, .features = features};
  const double share =
      kMixtureTokens /
      std::max(1.0, corpus.mean_tokens() * static_cast<double>(corpus.count(selection)));
  Random random(seed);
  corpus.for_each(selection, [&](const RoutedText& text) {
    if (random.uniform() < share && text.num_tokens() > 0) visit(text);
  });
}

double validation_tokens(const RoutedTexts& corpus, TextSelection::Features features) {
  const auto texts = corpus.count({.split = trace::Split::kValidation, .features = features});
  return std::min(kMixtureTokens, corpus.mean_tokens() * static_cast<double>(texts));
}

std::vector<RoutedText> sample_validation(const RoutedTexts& corpus, uint64_t seed) {
  std::vector<RoutedText> texts;
  visit_validation(corpus, seed, TextSelection::Features::kLeaveOut,
                   [&](const RoutedText& text) { texts.push_back(text); });
  return texts;
}

}  // namespace foregate::predict
