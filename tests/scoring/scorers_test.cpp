// Scorers that depend on a text's past in ways of their own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/random.h"
#include "map_weights.h"
#include "scoring/error.h"
#include "scoring/kinds.h"

namespace foregate::scoring {
namespace {

using testing::MapWeights;
using testing::small_geometry;

std::unique_ptr<Scorer> make(const char* kind, const Lead& lead, const trace::Geometry& geometry,
                             const Weights& weights, const Json& settings = Json::object()) {
  return find_kind(kind)->make_scorer({kind, lead, geometry}, weights,
                                      JsonReader(settings, "settings"));
}

std::vector<float> scores_of(const Scorer& scorer, const Sequence& sequence, int64_t layer) {
  std::vector<float> scores(static_cast<size_t>(scorer.num_experts()));
  const Sequence* one = &sequence;
  scorer.score({&one, 1}, layer, scores.data());
  return scores;
}

TEST(RandomScorer, DrawsATokensLayersOneAfterTheOther) {
  MapWeights weights;
  weights.add<int64_t>("seed", "I64", {1}, {42});
  const auto scorer = make("random", Lead::layer(1), small_geometry(4, 5, 2), weights);
  Sequence sequence(*scorer);
  for (const int32_t id : {7, 3, 3}) {
    sequence.begin_token(id);
    const auto place = static_cast<uint64_t>(sequence.history.num_tokens() - 1);
    Random draws = Random(42).fork(static_cast<uint64_t>(id) << 32 | place);
    for (int64_t l = 1; l < 4; ++l) {
      for (const float score : scores_of(*scorer, sequence, l)) {
        EXPECT_EQ(score, static_cast<float>(draws.uniform()));
      }
    }
  }
}

/// Three layers of four experts, windows of four tokens.
class Transformer : public ::testing::TestWithParam<int> {
 protected:
  static constexpr int kLayers = 3, kExperts = 4, kWidth = 4, kBlocks = 2, kIds = 3, kInner = 5;
  static constexpr int kContext = 4, kBack = 2;

  Transformer() {
    const Lead lead = GetParam() == 0 ? Lead::next_token() : Lead::layer(GetParam());
    const int64_t rows = kLayers - lead.first_layer();
    const int64_t outputs = kExperts + (lead.first_layer() > 0 ? kInner : 0);
    weights_.add<int64_t>("ids", "I64", {kIds}, {1, 4, 6});
    add("embedding", {kIds + 1, kWidth});
    add("routing", {kLayers * kExperts, kWidth});
    add("norm", {kWidth});
    add("out", {kWidth, rows * outputs});
    add("out_bias", {rows * outputs});
    for (const std::string block : {"block.0.", "block.1."}) {
      add(block + "attention_norm", {kWidth});
      add(block + "attention_in", {kWidth, 3 * kWidth});
      add(block + "attention_out", {kWidth, kWidth});
      add(block + "mlp_norm", {kWidth});
      add(block + "mlp_in", {kWidth, 4 * kWidth});
      add(block + "mlp_in_bias", {4 * kWidth});
      add(block + "mlp_out", {4 * kWidth, kWidth});
    }
    if (lead.first_layer() > 0) {
      add("known", {rows, kBack * kExperts, outputs});
      add("layer_out", {rows, kInner, kExperts});
    }
    const Json settings = {{"width", kWidth},     {"blocks", kBlocks},    {"heads", 2},
                           {"context", kContext}, {"layers_back", kBack}, {"layer_width", kInner}};
    scorer_ = make("transformer", lead, small_geometry(kLayers, kExperts, 2), weights_, settings);
  }

  void add(const std::string& name, const std::vector<int64_t>& shape) {
    int64_t size = 1;
    for (const int64_t dimension : shape) size *= dimension;
    std::vector<float> values(static_cast<size_t>(size));
    for (float& value : values) value = static_cast<float>(random_.normal());
    weights_.add_floats(name, shape, values);
  }

  /// Tells tokens [first, last) of a text and gathers what is said of each.
  std::vector<std::vector<float>> decode(int first, int last) {
    Sequence sequence(*scorer_);
    std::vector<std::vector<float>> scores;
    for (int t = first; t < last; ++t) {
      sequence.begin_token(t * t % 7);
      std::vector<float>& all = scores.emplace_back();
      for (int l = 0; l < kLayers; ++l) {
        if (l >= scorer_->first_layer()) {
          const std::vector<float> some = scores_of(*scorer_, sequence, l);
          all.insert(all.end(), some.begin(), some.end());
        }
        const std::array<int32_t, 2> chosen = {(t + l) % kExperts, (t + l + 1 + t % 2) % kExperts};
        sequence.history.set_routing(l, chosen);
      }
    }
    return scores;
  }

  Random random_{3};
  MapWeights weights_;
  std::unique_ptr<Scorer> scorer_;
};

TEST_P(Transformer, ScoresATokenInTheFirstWindowThatHoldsIt) {
  // Windows begin at 0, 2, 4, 6, ...: token 5 is the last of that which begins at 2.
  const auto whole = decode(0, 12);
  for (int t = kContext; t < 12; ++t) {
    const int begin = (t - kContext) / 2 * 2 + 2;
    const auto window = decode(begin, t + 1);
    EXPECT_EQ(whole[static_cast<size_t>(t)], window.back()) << t;
    EXPECT_NE(whole[static_cast<size_t>(t)], decode(begin + 1, t + 1).back()) << t;
  }
}

TEST_P(Transformer, WantsTheRoutingOfEveryTokenBefore) {
  Sequence sequence(*scorer_);
  sequence.begin_token(1);
  for (int l = 0; l < kLayers - 1; ++l) {
    sequence.history.set_routing(l, std::array<int32_t, 2>{0, 1});
  }
  sequence.begin_token(4);
  for (int l = 0; l < kLayers; ++l) {
    sequence.history.set_routing(l, std::array<int32_t, 2>{0, 1});
  }
  EXPECT_THROW(scores_of(*scorer_, sequence, kLayers - 1), NotObservedError);
  sequence.reset();
  sequence.begin_token(1);
  for (int l = 0; l < kLayers; ++l) {
    sequence.history.set_routing(l, std::array<int32_t, 2>{0, 1});
  }
  EXPECT_NO_THROW(scores_of(*scorer_, sequence, kLayers - 1));
}

INSTANTIATE_TEST_SUITE_P(Leads, Transformer, ::testing::Values(0, 1, 2));

}  // namespace
}  // namespace foregate::scoring
