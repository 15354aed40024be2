#include "predict/calibration.h"

#include <torch/torch.h>

#include <algorithm>

#include "predict/mixture.h"

namespace foregate {
namespace {

constexpr int64_t kPairs = 1'000'000;  // of decision and expert: plenty for three weights
constexpr int kIterations = 25;
constexpr double kRidge = 1e-6;
constexpr double kSmallestStep = 1e-6;

/// What the three weights are for, one column each.
torch::Tensor inputs_of(const torch::Tensor& scores) {
  const torch::Tensor shared = scores.logsumexp(-1, /*keepdim=*/true).expand_as(scores);
  return torch::stack({scores, shared, torch::ones_like(scores)}, -1);
}

double loss_of(const torch::Tensor& inputs, const torch::Tensor& chosen,
               const torch::Tensor& weights) {
  const torch::Tensor logits = inputs.matmul(weights);
  return torch::binary_cross_entropy_with_logits(logits, chosen).item<double>();
}

}  // namespace

torch::Tensor Calibration::probabilities(const torch::Tensor& scores) const {
  const torch::Tensor base = shared * scores.logsumexp(-1, /*keepdim=*/true) + offset;
  return torch::sigmoid(scale * scores + base);
}

Calibration fit_calibration(const torch::Tensor& scores, const torch::Tensor& chosen) {
  if (scores.size(0) == 0) return {};
  const torch::NoGradGuard no_grad;
  const torch::Tensor inputs = inputs_of(scores.to(torch::kFloat64)).flatten(0, -2);  // [m, 3]
  const torch::Tensor truth = chosen.to(torch::kFloat64).flatten();
  const auto pairs = static_cast<double>(truth.size(0));
  torch::Tensor weights = torch::tensor({1.0, 0.0, 0.0}, torch::kFloat64);
  for (int i = 0; i < kIterations; ++i) {  // Newton, halved where it overshoots.
    const torch::Tensor p = inputs.matmul(weights).sigmoid();
    const torch::Tensor gradient = inputs.t().matmul(p - truth) / pairs;
    const torch::Tensor curvature =
        (inputs * (p * (1 - p)).unsqueeze(1)).t().matmul(inputs) / pairs;
    torch::Tensor step =
        torch::linalg_solve(curvature + kRidge * torch::eye(3, torch::kFloat64), gradient);
    const double here = loss_of(inputs, truth, weights);
    while (step.abs().max().item<double>() > kSmallestStep &&
           loss_of(inputs, truth, weights - step) > here) {
      step = step / 2;
    }
    if (step.abs().max().item<double>() <= kSmallestStep) break;
    weights = weights - step;
  }
  const auto* weight = weights.const_data_ptr<double>();
  return {weight[0], weight[1], weight[2]};
}

Calibration fit_calibration(const Predictor& predictor, const RoutedTexts& corpus) {
  using Features = TextSelection::Features;
  const auto texts = sample_validation(
      corpus, 0, predictor.needs_features() ? Features::kRequire : Features::kLeaveOut);
  int64_t tokens = 0;
  for (const RoutedText& text : texts) tokens += text.num_tokens();
  const int64_t experts = predictor.geometry().num_experts;
  const int64_t wanted = std::max<int64_t>(kPairs / (predictor.num_layers() * experts), 1);
  const int64_t every = std::max<int64_t>(tokens / wanted, 1);
  std::vector<torch::Tensor> scores;
  std::vector<torch::Tensor> chosen;
  int64_t skip = 0;
  for (const RoutedText& text : texts) {
    const auto some = [&](const torch::Tensor& rows) { return rows.slice(0, skip, {}, every); };
    const torch::Tensor truth = some(text.experts).slice(1, predictor.first_layer());
    scores.push_back(some(predictor.score(text)).flatten(0, 1));
    chosen.push_back(multi_hot(truth, experts).flatten(0, 1));
    // Every so many tokens, counted through all texts.
    skip = (every - (text.num_tokens() - skip) % every) % every;
  }
  if (scores.empty()) return {};
  return fit_calibration(torch::cat(scores), torch::cat(chosen));
}

}  // namespace foregate
