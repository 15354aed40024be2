// Scores become probabilities that hold.
#include "predict/calibration.h"

#include <gtest/gtest.h>
#include <torch/types.h>
#include <torch/utils.h>

namespace foregate::predict {
namespace {

TEST(Calibration, FindsTheMapThatMadeTheChoices) {
  torch::manual_seed(0);
  const torch::Tensor scores = 2 * torch::randn({4000, 6});
  const scoring::Calibration truth{0.7, -0.4, 0.3};
  const torch::Tensor chosen = torch::bernoulli(calibrated(truth, scores));
  const scoring::Calibration found = fit_calibration(scores, chosen);
  EXPECT_NEAR(found.scale, truth.scale, 0.05);
  EXPECT_NEAR(found.shared, truth.shared, 0.05);
  EXPECT_NEAR(found.offset, truth.offset, 0.15);
}

TEST(Calibration, ScoresUpToAConstantGiveProbabilitiesToo) {
  torch::manual_seed(0);
  const torch::Tensor scores = torch::randn({2000, 6});
  const torch::Tensor chosen =
      multi_hot(std::get<1>((scores + torch::randn_like(scores)).topk(2)), 6);
  const torch::Tensor shifted = scores + 50 * torch::rand({2000, 1});
  const scoring::Calibration found = fit_calibration(shifted, chosen);
  // What shifts all scores of a decision must cancel.
  EXPECT_NEAR(found.shared, -found.scale, 0.05);
  const torch::Tensor p = calibrated(found, shifted);
  EXPECT_NEAR(p.mean().item<double>(), 2.0 / 6, 0.01);
  const torch::Tensor best = shifted.argmax(1, true);
  EXPECT_NEAR(p.gather(1, best).mean().item<double>(), chosen.gather(1, best).mean().item<double>(),
              0.05);
}

TEST(Calibration, WithoutDecisionsIsTheIdentity) {
  const scoring::Calibration none = fit_calibration(torch::empty({0, 6}), torch::empty({0, 6}));
  const torch::Tensor scores = torch::tensor({{-1.0F, 2.0F}});
  EXPECT_TRUE(calibrated(none, scores).allclose(scores.sigmoid()));
}

}  // namespace
}  // namespace foregate::predict
