#include "trace/router_decision.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "base/random.h"

namespace foregate::trace {
namespace {

constexpr int64_t kExperts = 24;
constexpr int64_t kTopK = 5;

std::vector<float> draw(Random& random, double scale) {
  std::vector<float> values(kExperts);
  for (float& value : values) value = static_cast<float>(scale * (2 * random.uniform() - 1));
  return values;
}

// Below all others if the expert was not chosen.
float gate_of(int64_t expert, const std::vector<int64_t>& chosen, const std::vector<float>& gates) {
  const auto found = std::find(chosen.begin(), chosen.end(), expert);
  return found == chosen.end() ? -1.0F : gates[static_cast<size_t>(found - chosen.begin())];
}

std::vector<RouterSpec> specs() {
  std::vector<RouterSpec> all;
  for (const auto score : {RouterSpec::Score::kSoftmax, RouterSpec::Score::kSigmoid,
                           RouterSpec::Score::kSoftmaxOfChosen}) {
    for (const auto group_score :
         {RouterSpec::GroupScore::kMax, RouterSpec::GroupScore::kSumOfTopTwo}) {
      for (const int64_t groups : {1, 2, 4, 8}) {
        for (int64_t kept = 1; kept <= groups; ++kept) {
          if (kept * kExperts / groups < kTopK) continue;
          all.push_back(
              {.score = score, .groups = groups, .top_groups = kept, .group_score = group_score});
        }
      }
    }
  }
  return all;
}

// What ranks first by rank() is what decide() chooses, and it comes by falling gate weight.
TEST(RouterDecision, RanksAsItDecides) {
  Random random(3);
  for (const RouterSpec& spec : specs()) {
    for (const bool logit_bias : {false, true}) {
      for (const bool choice_bias : {false, true}) {
        const std::vector<float> logit = draw(random, 1);
        const std::vector<float> choice = draw(random, 0.5);
        RouterBiasSpans biases;
        if (logit_bias) biases.logit = logit;
        if (choice_bias) biases.choice = choice;
        RouterDecision decision(spec, biases, kExperts, kTopK);
        for (int token = 0; token < 20; ++token) {
          std::vector<float> logits = draw(random, 3);
          if (token == 0) std::fill(logits.begin(), logits.end(), 0.25F);  // ties
          std::vector<int64_t> chosen(kTopK);
          std::vector<float> gates(kTopK);
          decision.decide(logits.data(), chosen.data(), gates.data());
          std::vector<float> scores(kExperts);
          decision.rank(logits.data(), scores.data());
          std::vector<int64_t> order(kExperts);
          std::iota(order.begin(), order.end(), 0);
          std::stable_sort(order.begin(), order.end(),
                           [&](int64_t a, int64_t b) { return scores[a] > scores[b]; });
          order.resize(kTopK);
          std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
            return gate_of(a, chosen, gates) > gate_of(b, chosen, gates);
          });
          EXPECT_EQ(order, chosen);
          EXPECT_TRUE(std::is_sorted(gates.rbegin(), gates.rend()));
          decision.rank(logits.data(), logits.data());
          EXPECT_EQ(logits, scores);
        }
      }
    }
  }
}

}  // namespace
}  // namespace foregate::trace
