// Every kind of predictor whole and damaged: a score or an error, never a crash. Meant for the
// sanitizers.
#include <foregate/predictor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/random.h"
#include "handles.h"
#include "small_predictors.h"
#include "support/temporary_folder.h"
#include "support/test_files.h"

namespace foregate::capi {
namespace {

using testing::kSmallPredictors;
using testing::new_sequence;
using testing::PredictorDirectory;
using testing::PredictorHandle;
using testing::SequenceHandle;
using testing::SmallPredictor;
using testing::SmallTensors;
using testing::TemporaryFolder;

class EveryKind : public ::testing::TestWithParam<SmallPredictor> {};

/// Decodes a few tokens; the scores that were given.
std::vector<float> decode(const PredictorHandle& predictor) {
  const SequenceHandle sequence = new_sequence(predictor);
  foregate_sequence* batch[] = {sequence.get()};
  foregate_predictor_info info{};
  info.struct_size = sizeof(info);
  EXPECT_EQ(foregate_predictor_get_info(predictor.get(), &info), FOREGATE_OK);
  std::vector<float> all;
  std::vector<float> scores(static_cast<size_t>(info.num_experts));
  std::vector<int32_t> best(scores.size());
  std::vector<int32_t> chosen(static_cast<size_t>(info.top_k));
  for (size_t i = 0; i < chosen.size(); ++i) chosen[i] = static_cast<int32_t>(i);
  const std::array<float, 3> state = {1, -2, 3};
  for (const int32_t id : {1, 3, 1, 3, 1, 1, 9, 2147483647}) {
    EXPECT_EQ(foregate_sequence_token(sequence.get(), id), FOREGATE_OK);
    for (int32_t l = 0; l < info.num_moe_layers; ++l) {
      foregate_sequence_state(sequence.get(), l, state.data(), FOREGATE_FLOAT32, state.size());
      if (l >= info.first_layer &&
          foregate_predict_scores(batch, 1, l, scores.data()) == FOREGATE_OK) {
        EXPECT_EQ(foregate_predict_best(batch, 1, l, best.size(), best.data()), FOREGATE_OK);
        all.insert(all.end(), scores.begin(), scores.end());
        size_t found = 0;
        EXPECT_THAT(foregate_predict_at_least(batch, 1, l, .5F, best.data(), &found),
                    ::testing::AnyOf(FOREGATE_OK, FOREGATE_UNSUPPORTED));
        EXPECT_LE(found, best.size());
      }
      EXPECT_EQ(foregate_sequence_routing(sequence.get(), l, chosen.data(), chosen.size()),
                FOREGATE_OK);
    }
  }
  return all;
}

TEST_P(EveryKind, ScoresEveryTokenAndLayer) {
  const TemporaryFolder folder;
  PredictorDirectory directory(folder / "p");
  SmallTensors(directory).add_all(GetParam());
  directory.calibrate(R"({"scale": 0.7, "shared": -0.4, "offset": 0.3})");
  directory.write(GetParam().name, GetParam().lead);
  const PredictorHandle predictor = testing::load(directory.path());
  ASSERT_NE(predictor, nullptr);
  const std::vector<float> scores = decode(predictor);
  const size_t layers = std::string(GetParam().lead) == "layer-1" ? 1 : 2;
  ASSERT_EQ(scores.size(), 8 * layers * 4);
  for (const float score : scores) EXPECT_TRUE(std::isfinite(score));
  EXPECT_NE(scores[0], scores[1]);
}

/// Some bytes of `text` between `begin` and `end` changed.
std::string damaged(std::string text, size_t begin, size_t end, Random& random) {
  for (uint64_t n = 1 + random.below(3); n > 0; --n) {
    const char digits[] = "0123456789-[]{}\",:.e";
    text[begin + random.below(end - begin)] = random.below(2) == 0
                                                  ? digits[random.below(sizeof(digits) - 1)]
                                                  : static_cast<char>(random.below(256));
  }
  return text;
}

TEST_P(EveryKind, SurvivesDamage) {
  const TemporaryFolder folder;
  PredictorDirectory directory(folder / "p");
  SmallTensors(directory).add_all(GetParam());
  directory.calibrate(R"({"scale": 0.7, "shared": -0.4, "offset": 0.3})");
  directory.write(GetParam().name, GetParam().lead);
  const auto weights_path = directory.path() / "weights.safetensors";
  const std::string weights = read_file(weights_path);
  Random random(5);
  int loaded = 0;
  int refused = 0;
  for (int i = 0; i < 200; ++i) {
    // The digest is always right: it would hide everything else.
    const bool in_weights = random.below(2) == 0;
    if (in_weights) {
      testing::write_text(weights_path, damaged(weights, 0, weights.size(), random));
    } else {
      directory.write_weights();
    }
    std::string json = directory.json(GetParam().name, GetParam().lead);
    if (!in_weights) json = damaged(json, 0, json.find("weights_sha256"), random);
    directory.write_json(json);
    foregate_predictor* predictor = nullptr;
    const foregate_status status = foregate_predictor_load(directory.path().c_str(), &predictor);
    if (status == FOREGATE_OK) {
      ++loaded;
      decode({predictor, foregate_predictor_free});
      continue;
    }
    ++refused;
    EXPECT_THAT(status, ::testing::AnyOf(FOREGATE_BAD_DATA, FOREGATE_UNSUPPORTED));
    EXPECT_GT(std::string(foregate_last_error()).size(), 10U);
  }
  EXPECT_GT(loaded, 10);
  EXPECT_GT(refused, 10);
}

INSTANTIATE_TEST_SUITE_P(Kinds, EveryKind, ::testing::ValuesIn(kSmallPredictors),
                         [](const auto& test) {
                           std::string name = std::string(test.param.name) + "_" + test.param.lead;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace foregate::capi
