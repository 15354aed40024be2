#include "offload/prediction/trained.h"

#include <gtest/gtest.h>

#include "capi/predictor_directory.h"
#include "capi/small_predictors.h"
#include "memory_texts.h"
#include "support/temporary_folder.h"
#include "support/test_files.h"

namespace foregate::offload {
namespace {

/// That of the predictors of tests/capi.
trace::Geometry small() {
  trace::Geometry geometry;
  geometry.num_moe_layers = 2;
  geometry.num_experts = 4;
  geometry.top_k = 2;
  geometry.hidden_size = 3;
  geometry.vocab_size = 5;
  geometry.num_decoder_layers = 4;
  geometry.moe_layers = {1, 3};
  return geometry;
}

trace::Trace random_text(Random& random, int tokens) {
  trace::Trace text;
  for (int token = 0; token < tokens; ++token) {
    text.token_ids.push_back(static_cast<int32_t>(random.below(5)));
    for (int layer = 0; layer < 2; ++layer) {
      const auto first = static_cast<uint16_t>(random.below(4));
      text.experts.push_back(first);
      text.experts.push_back(static_cast<uint16_t>((first + 1 + random.below(3)) % 4));
    }
  }
  return text;
}

void write_predictor(const std::filesystem::path& path, const testing::SmallPredictor& predictor,
                     bool calibrated = true) {
  testing::PredictorDirectory directory(path);
  testing::SmallTensors(directory).add_all(predictor);
  if (calibrated) directory.calibrate(R"({"scale": 1, "shared": 0, "offset": 0})");
  directory.write(predictor.name, predictor.lead);
}

/// All guesses: [moment][guess], a step's beginning and two moments a layer being moments.
std::vector<std::vector<Guess>> guesses_of(const TrainedPredictor& predictor,
                                           const trace::Trace& text) {
  const auto foresight = predictor.foresight({}, 0);
  testing::MemoryTexts source({text});
  StepStream steps(source, {});
  std::vector<std::vector<Guess>> all;
  for (Step step; steps.next(step);) {
    foresight->at_step(step, all.emplace_back());
    for (int layer = 0; layer < 2; ++layer) {
      foresight->at_layer(step, layer, all.emplace_back());
      foresight->at_router(step, layer, all.emplace_back());
    }
  }
  return all;
}

constexpr size_t kMoments = 5;  // of a token of two layers

TEST(TrainedPredictor, SeesOnlyWhatWasBefore) {
  const testing::TemporaryFolder folder;
  Random random(1);
  for (const testing::SmallPredictor& kind :
       {testing::SmallPredictor{"previous-token", "next-token"},
        {"token-table", "next-token"},
        {"statistics", "next-token"},
        {"statistics", "layer-1"},
        {"transition", "layer-1"}}) {
    const std::filesystem::path path = folder.path() / (std::string(kind.name) + kind.lead);
    write_predictor(path, kind);
    const TrainedPredictor predictor(path, small());
    const trace::Trace text = random_text(random, 8);
    const auto expected = guesses_of(predictor, text);
    size_t told = 0;
    for (int token = 0; token < 8; ++token) {
      for (int layer = 0; layer < 2; ++layer) {
        // Another decision there, and everything behind it: what was foreseen before stays.
        trace::Trace other = text;
        const trace::Trace noise = random_text(random, 8);
        const auto from = static_cast<std::ptrdiff_t>((token * 2 + layer) * 2);
        std::copy(noise.experts.begin() + from, noise.experts.end(), other.experts.begin() + from);
        std::copy(noise.token_ids.begin() + token + 1, noise.token_ids.end(),
                  other.token_ids.begin() + token + 1);
        const auto found = guesses_of(predictor, other);
        const size_t before = static_cast<size_t>(token) * kMoments + 2 + 2 * layer;
        for (size_t moment = 0; moment < before; ++moment) {
          ASSERT_EQ(found[moment].size(), expected[moment].size()) << kind.name;
          for (size_t i = 0; i < found[moment].size(); ++i) {
            EXPECT_EQ(found[moment][i].expert, expected[moment][i].expert);
            EXPECT_EQ(found[moment][i].probability, expected[moment][i].probability) << kind.name;
            ++told;
          }
        }
      }
    }
    EXPECT_GT(told, 100u) << kind.name;
  }
}

TEST(TrainedPredictor, ForeseesAtItsLead) {
  const testing::TemporaryFolder folder;
  Random random(2);
  const trace::Trace text = random_text(random, 3);
  write_predictor(folder.path() / "next", {"statistics", "next-token"});
  write_predictor(folder.path() / "layer", {"statistics", "layer-1"});
  const auto next = guesses_of(TrainedPredictor(folder.path() / "next", small()), text);
  const auto layer = guesses_of(TrainedPredictor(folder.path() / "layer", small()), text);
  for (size_t moment = 0; moment < next.size(); ++moment) {
    EXPECT_EQ(next[moment].size(), moment % kMoments == 0 ? 8u : 0u);   // both layers' four
    EXPECT_EQ(layer[moment].size(), moment % kMoments == 2 ? 4u : 0u);  // behind layer 0's router
  }
}

TEST(TrainedPredictor, SaysWhatItCannotUse) {
  const testing::TemporaryFolder folder;
  write_predictor(folder.path() / "states", {"gate-adapter", "layer-1"});
  EXPECT_NE(testing::error_of([&] {
              TrainedPredictor(folder.path() / "states", small());
            }).find("reads hidden states"),
            std::string::npos);
  write_predictor(folder.path() / "raw", {"statistics", "layer-1"}, false);
  EXPECT_NE(testing::error_of([&] {
              TrainedPredictor(folder.path() / "raw", small());
            }).find("has no calibration"),
            std::string::npos);
  trace::Geometry other = small();
  other.num_experts = 8;
  EXPECT_NE(testing::error_of([&] {
              TrainedPredictor(folder.path() / "raw", other);
            }).find("num_experts is 4, expected 8"),
            std::string::npos);
}

}  // namespace
}  // namespace foregate::offload
