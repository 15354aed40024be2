#include "predict/calibration.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>

#include "predict/counting/mixture.h"
#include "predict/fit_inputs.h"
#include "predict/texts/routed_text.h"

namespace foregate::predict {
namespace {

constexpr double kPairs = 1'000'000;  // of decision and expert: plenty for three weights
constexpr int kIterations = 25;
constexpr double kRidge = 1e-6;
constexpr double kSmallestStep = 1e-6;

/// What the three weights are for, one column each.
torch::Tensor inputs_of(const torch::Tensor& scores) {
  const torch::Tensor shared = scores.logsumexp(-1, /*keepdim=*/true).expand_as(scores);
  return torch::stack({scores, shared, torch::ones_like(scores)}, -1);
}

/// A predictor's scores of every so many tokens, beside what was chosen.
class Sample {
 public:
  explicit Sample(const Predictor& predictor) : predictor_(predictor) {}

  /// Of how many tokens to choose.
  void expect(double tokens) {
    const auto pairs =
        static_cast<double>(predictor_.num_layers()) * predictor_.geometry().num_experts;
    every_ = std::max<int64_t>(static_cast<int64_t>(tokens * pairs / kPairs), 1);
  }

  void add(const RoutedText& text) {
    const auto some = [&](const torch::Tensor& rows) { return rows.slice(0, skip_, {}, every_); };
    const torch::Tensor truth = some(text.experts).slice(1, predictor_.first_layer());
    scores_.push_back(some(predictor_.score(text)).flatten(0, 1).clone());
    chosen_.push_back(multi_hot(truth, predictor_.geometry().num_experts).flatten(0, 1));
    // Counted through all texts.
    skip_ = (every_ - (text.num_tokens() - skip_) % every_) % every_;
  }

  std::optional<scoring::Calibration> fit() const {
    if (scores_.empty()) return std::nullopt;
    return fit_calibration(torch::cat(scores_), torch::cat(chosen_));
  }

 private:
  const Predictor& predictor_;
  int64_t every_ = 1;
  int64_t skip_ = 0;
  std::vector<torch::Tensor> scores_;
  std::vector<torch::Tensor> chosen_;
};

double loss_of(const torch::Tensor& inputs, const torch::Tensor& chosen,
               const torch::Tensor& weights) {
  const torch::Tensor logits = inputs.matmul(weights);
  return torch::binary_cross_entropy_with_logits(logits, chosen).item<double>();
}

}  // namespace

torch::Tensor calibrated(const scoring::Calibration& calibration, const torch::Tensor& scores) {
  const torch::Tensor exact = scores.to(torch::kFloat64);
  const torch::Tensor base =
      calibration.shared * exact.logsumexp(-1, /*keepdim=*/true) + calibration.offset;
  return torch::sigmoid(calibration.scale * exact + base).to(torch::kFloat32);
}

scoring::Calibration fit_calibration(const torch::Tensor& scores, const torch::Tensor& chosen) {
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

std::vector<std::optional<scoring::Calibration>> fit_calibrations(
    const std::vector<const Predictor*>& predictors, const RoutedTexts& corpus) {
  std::vector<Sample> samples;
  auto features = TextSelection::Features::kLeaveOut;
  for (const Predictor* predictor : predictors) {
    if (predictor->needs_features()) features = TextSelection::Features::kRequire;
    samples.emplace_back(*predictor);
  }
  const double tokens = validation_tokens(corpus, features);
  for (Sample& sample : samples) sample.expect(tokens);
  visit_validation(corpus, 0, features, [&](const RoutedText& text) {
    for (Sample& sample : samples) sample.add(text);
  });
  std::vector<std::optional<scoring::Calibration>> calibrations;
  for (const Sample& sample : samples) calibrations.push_back(sample.fit());
  return calibrations;
}

}  // namespace foregate::predict
