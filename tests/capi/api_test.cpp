// What the C functions do with what they are handed: results worked out by hand, and a code and one
// line for everything that is wrong.
#include <foregate/predictor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>
#include <thread>

#include "handles.h"
#include "predictor_directory.h"
#include "support/temporary_folder.h"
#include "support/test_files.h"

namespace foregate::capi {
namespace {

using ::testing::ElementsAre;
using testing::load;
using testing::new_sequence;
using testing::PredictorDirectory;
using testing::PredictorHandle;
using testing::SequenceHandle;
using testing::TemporaryFolder;

constexpr size_t kExperts = 4;
using Scores = std::array<float, kExperts>;

void expect_failure(foregate_status status, foregate_status expected, const std::string& saying) {
  EXPECT_EQ(foregate_status_name(status), std::string(foregate_status_name(expected)))
      << foregate_last_error();
  EXPECT_THAT(foregate_last_error(), ::testing::HasSubstr(saying));
  EXPECT_EQ(std::string(foregate_last_error()).find('\n'), std::string::npos);
}

void expect_load_failure(const std::filesystem::path& directory, foregate_status expected,
                         const std::string& saying) {
  foregate_predictor* predictor = nullptr;
  expect_failure(foregate_predictor_load(directory.c_str(), &predictor), expected, saying);
  EXPECT_EQ(predictor, nullptr);
}

void expect_scores(const Scores& scores, const Scores& expected) {
  EXPECT_THAT(scores, ::testing::Pointwise(::testing::FloatEq(), expected));
}

PredictorDirectory frequency_directory(const std::filesystem::path& path) {
  PredictorDirectory directory(path);
  directory.tensor<float>("frequency", "F32", {2, 4}, {.1F, .4F, .4F, .2F, .3F, .2F, .1F, .0F});
  return directory;
}

PredictorHandle by_hand(const TemporaryFolder& folder, const char* predictor, const char* lead) {
  const PredictorDirectory directory = frequency_directory(folder / predictor);
  directory.write(predictor, lead);
  return load(directory.path());
}

PredictorHandle next_gate(const TemporaryFolder& folder, const char* lead, int64_t rows) {
  PredictorDirectory directory(folder / lead);
  std::vector<float> router;
  for (int64_t row = 0; row < rows; ++row) {
    const auto r = static_cast<float>(row);
    router.insert(router.end(), {1, 0, 0, 0, 1, 0, 0, 0, 1, r, 1, 1});
  }
  directory.tensor<float>("router", "F32", {rows, 4, 3}, router);
  directory.write("next-gate", lead);
  return load(directory.path());
}

TEST(PredictorApi, SaysWhatAPredictorIs) {
  const TemporaryFolder folder;
  const PredictorHandle predictor = by_hand(folder, "previous-token", "next-token");
  foregate_predictor_info info{};
  info.struct_size = sizeof(info);
  ASSERT_EQ(foregate_predictor_get_info(predictor.get(), &info), FOREGATE_OK);
  EXPECT_STREQ(info.name, "previous-token");
  EXPECT_STREQ(info.lead, "next-token");
  EXPECT_STREQ(info.model, "by-hand");
  EXPECT_EQ(info.num_moe_layers, 2);
  EXPECT_EQ(info.num_experts, 4);
  EXPECT_EQ(info.top_k, 2);
  EXPECT_EQ(info.hidden_size, 3);
  EXPECT_EQ(info.vocab_size, 5);
  EXPECT_EQ(info.first_layer, 0);
  EXPECT_EQ(info.needs_token, 0);
  EXPECT_EQ(info.needs_routing, 1);
  EXPECT_EQ(info.needs_state, 0);
  EXPECT_EQ(info.weight_bytes,
            std::filesystem::file_size(folder / "previous-token" / "weights.safetensors"));
  EXPECT_EQ(foregate_predictor_api_version(), FOREGATE_PREDICTOR_API_VERSION);

  for (const auto& [decoder_layer, expected] :
       {std::pair(0, -1), {1, 0}, {2, -1}, {3, 1}, {9, -1}}) {
    int32_t layer = 7;
    ASSERT_EQ(foregate_predictor_moe_layer(predictor.get(), decoder_layer, &layer), FOREGATE_OK);
    EXPECT_EQ(layer, expected);
  }
}

TEST(PredictorApi, InfoOfOtherSizesIsFilledAsFarAsItGoes) {
  const TemporaryFolder folder;
  const PredictorHandle predictor = by_hand(folder, "frequency", "next-token");
  struct {
    foregate_predictor_info info;
    std::array<char, 16> more;
  } newer{};
  newer.more.fill('x');
  newer.info.struct_size = sizeof(newer);
  ASSERT_EQ(foregate_predictor_get_info(predictor.get(), &newer.info), FOREGATE_OK);
  EXPECT_EQ(newer.info.num_experts, 4);
  EXPECT_THAT(newer.more, ::testing::Each('\0'));

  foregate_predictor_info older{};
  older.struct_size = offsetof(foregate_predictor_info, num_experts);
  older.num_experts = -1;
  ASSERT_EQ(foregate_predictor_get_info(predictor.get(), &older), FOREGATE_OK);
  EXPECT_STREQ(older.name, "frequency");
  EXPECT_EQ(older.num_experts, -1);

  older.struct_size = 0;
  expect_failure(foregate_predictor_get_info(predictor.get(), &older), FOREGATE_INVALID_ARGUMENT,
                 "struct_size is 0");
  older.struct_size = SIZE_MAX;
  expect_failure(foregate_predictor_get_info(predictor.get(), &older), FOREGATE_INVALID_ARGUMENT,
                 "struct_size");
}

TEST(PredictorApi, PreviousTokenFollowsTheSequence) {
  const TemporaryFolder folder;
  const PredictorHandle predictor = by_hand(folder, "previous-token", "next-token");
  const SequenceHandle sequence = new_sequence(predictor);
  foregate_sequence* batch[] = {sequence.get()};
  const std::array<int32_t, 2> chosen = {3, 0};
  Scores scores{};
  std::array<int32_t, 4> best{};

  ASSERT_EQ(foregate_sequence_token(sequence.get(), 1), FOREGATE_OK);
  ASSERT_EQ(foregate_predict_best(batch, 1, 0, 4, best.data()), FOREGATE_OK);
  EXPECT_THAT(best, ElementsAre(1, 2, 3, 0));  // equals by lowest index
  ASSERT_EQ(foregate_sequence_routing(sequence.get(), 0, chosen.data(), 2), FOREGATE_OK);
  ASSERT_EQ(foregate_sequence_token(sequence.get(), 2), FOREGATE_OK);
  ASSERT_EQ(foregate_predict_scores(batch, 1, 0, scores.data()), FOREGATE_OK);
  expect_scores(scores, {1 + .1e-3F, .4e-3F, .4e-3F, 1 + .2e-3F});
  scores.fill(-1);
  expect_failure(foregate_predict_scores(batch, 1, 1, scores.data()), FOREGATE_NOT_OBSERVED,
                 "token 0 (the current one is 1) at layer 1");
  EXPECT_THAT(scores, ::testing::Each(-1.0F));

  ASSERT_EQ(foregate_sequence_reset(sequence.get()), FOREGATE_OK);
  expect_failure(foregate_predict_scores(batch, 1, 0, scores.data()), FOREGATE_NOT_OBSERVED,
                 "no token");
  ASSERT_EQ(foregate_sequence_token(sequence.get(), 2), FOREGATE_OK);
  ASSERT_EQ(foregate_predict_scores(batch, 1, 0, scores.data()), FOREGATE_OK);
  expect_scores(scores, {.1e-3F, .4e-3F, .4e-3F, .2e-3F});
}

TEST(PredictorApi, ProbabilitiesFollowTheCalibration) {
  const TemporaryFolder folder;
  PredictorDirectory directory = frequency_directory(folder / "p");
  directory.calibrate(R"({"scale": 2.5, "shared": -0.5, "offset": 0.25})");
  directory.write("frequency", "next-token");
  const PredictorHandle predictor = load(directory.path());
  foregate_predictor_info info{};
  info.struct_size = sizeof(info);
  ASSERT_EQ(foregate_predictor_get_info(predictor.get(), &info), FOREGATE_OK);
  EXPECT_EQ(info.has_probabilities, 1);
  const SequenceHandle one = new_sequence(predictor);
  const SequenceHandle other = new_sequence(predictor);
  foregate_sequence* batch[] = {one.get(), other.get()};
  for (foregate_sequence* sequence : batch) {
    ASSERT_EQ(foregate_sequence_token(sequence, 1), FOREGATE_OK);
  }
  std::array<float, 8> probabilities{};
  ASSERT_EQ(foregate_predict_probabilities(batch, 2, 0, probabilities.data()), FOREGATE_OK);
  const std::array<double, 4> scores = {.1, .4, .4, .2};
  double sum = 0;
  for (const double score : scores) sum += std::exp(score);
  for (size_t i = 0; i < probabilities.size(); ++i) {
    const double logit = 2.5 * scores[i % 4] - 0.5 * std::log(sum) + 0.25;
    EXPECT_NEAR(probabilities[i], 1 / (1 + std::exp(-logit)), 1e-6) << i;
  }

  std::array<int32_t, 8> experts{};
  std::array<size_t, 2> found{};
  const auto at_least = [&](float threshold) {
    experts.fill(-1);
    return foregate_predict_at_least(batch, 2, 0, threshold, experts.data(), found.data());
  };
  ASSERT_EQ(at_least(probabilities[3]), FOREGATE_OK);  // "at least" includes the expert itself
  EXPECT_THAT(found, ElementsAre(3, 3));
  EXPECT_THAT(experts, ElementsAre(1, 2, 3, -1, 1, 2, 3, -1));
  ASSERT_EQ(at_least(1), FOREGATE_OK);
  EXPECT_THAT(found, ElementsAre(0, 0));
  EXPECT_THAT(experts, ::testing::Each(-1));
  ASSERT_EQ(at_least(0), FOREGATE_OK);
  EXPECT_THAT(found, ElementsAre(4, 4));
  for (const float wrong : {-.1F, 1.1F, std::numeric_limits<float>::quiet_NaN()}) {
    expect_failure(at_least(wrong), FOREGATE_INVALID_ARGUMENT, "threshold is");
  }
  EXPECT_EQ(foregate_predict_probabilities(batch, 0, 0, probabilities.data()), FOREGATE_OK);
  expect_failure(foregate_predict_probabilities(batch, 1, 0, nullptr), FOREGATE_INVALID_ARGUMENT,
                 "null");
  expect_failure(foregate_predict_at_least(batch, 1, 0, .5F, experts.data(), nullptr),
                 FOREGATE_INVALID_ARGUMENT, "null");
}

TEST(PredictorApi, WithoutCalibrationThereAreOnlyScores) {
  const TemporaryFolder folder;
  const PredictorHandle predictor = by_hand(folder, "frequency", "next-token");
  foregate_predictor_info info{};
  info.struct_size = sizeof(info);
  ASSERT_EQ(foregate_predictor_get_info(predictor.get(), &info), FOREGATE_OK);
  EXPECT_EQ(info.has_probabilities, 0);
  const SequenceHandle sequence = new_sequence(predictor);
  foregate_sequence* batch[] = {sequence.get()};
  ASSERT_EQ(foregate_sequence_token(sequence.get(), 1), FOREGATE_OK);
  Scores probabilities{};
  probabilities.fill(-1);
  expect_failure(foregate_predict_probabilities(batch, 1, 0, probabilities.data()),
                 FOREGATE_UNSUPPORTED, "no calibration");
  EXPECT_THAT(probabilities, ::testing::Each(-1.0F));
  std::array<int32_t, 4> experts{};
  size_t found = 9;
  expect_failure(foregate_predict_at_least(batch, 1, 0, .5F, experts.data(), &found),
                 FOREGATE_UNSUPPORTED, "train it again");
  EXPECT_EQ(found, 9U);
}

TEST(PredictorApi, BrokenCalibrationsAreRefused) {
  const TemporaryFolder folder;
  PredictorDirectory directory = frequency_directory(folder / "p");
  for (const auto& [calibration, saying] :
       {std::pair<const char*, const char*>(R"({"scale": 1, "shared": 0})", "offset"),
        {R"({"scale": "1", "shared": 0, "offset": 0})", "scale"},
        {R"({"scale": 1, "shared": 1e300, "offset": 0})", "shared"},
        {R"({"scale": 1, "shared": 0, "offset": [0]})", "offset"},
        {"7", "calibration"},
        {"[1, 0, 0]", "calibration"}}) {
    directory.calibrate(calibration);
    directory.write("frequency", "next-token");
    expect_load_failure(directory.path(), FOREGATE_BAD_DATA, saying);
  }
}

TEST(PredictorApi, StatesAreNormalizedInEveryDtype) {
  const TemporaryFolder folder;
  const PredictorHandle predictor = next_gate(folder, "pre-attention", 2);
  const SequenceHandle sequence = new_sequence(predictor);
  foregate_sequence* batch[] = {sequence.get()};
  ASSERT_EQ(foregate_sequence_token(sequence.get(), 0), FOREGATE_OK);
  Scores scores{};
  expect_failure(foregate_predict_scores(batch, 1, 1, scores.data()), FOREGATE_NOT_OBSERVED,
                 "hidden state at layer 1");

  // 2, 0, -1 in three dtypes, one of them at an odd address; the mean of squares is 5/3.
  const std::array<float, 3> single = {2, 0, -1};
  const std::array<uint16_t, 3> brain = {0x4000, 0, 0xbf80};
  const std::array<uint16_t, 3> half = {0x4000, 0, 0xbc00};
  std::array<char, 7> odd{};
  std::memcpy(odd.data() + 1, half.data(), sizeof(half));
  const float scale = 1 / std::sqrt(5.0F / 3 + 1e-6F);
  for (const auto& [values, dtype] :
       {std::pair<const void*, foregate_dtype>(single.data(), FOREGATE_FLOAT32),
        {brain.data(), FOREGATE_BFLOAT16},
        {half.data(), FOREGATE_FLOAT16},
        {odd.data() + 1, FOREGATE_FLOAT16}}) {
    ASSERT_EQ(foregate_sequence_state(sequence.get(), 1, values, dtype, 3), FOREGATE_OK);
    ASSERT_EQ(foregate_predict_scores(batch, 1, 1, scores.data()), FOREGATE_OK);
    EXPECT_FLOAT_EQ(scores[0], 2 * scale);
    EXPECT_FLOAT_EQ(scores[1], 0);
    EXPECT_FLOAT_EQ(scores[2], -scale);
    EXPECT_FLOAT_EQ(scores[3], scale);
  }
  // The next token has not shown its state yet.
  ASSERT_EQ(foregate_sequence_token(sequence.get(), 0), FOREGATE_OK);
  EXPECT_EQ(foregate_predict_scores(batch, 1, 1, scores.data()), FOREGATE_NOT_OBSERVED);
}

TEST(PredictorApi, LayerLeadLooksAtTheLayerInFront) {
  const TemporaryFolder folder;
  const PredictorHandle predictor = next_gate(folder, "layer-1", 1);
  const SequenceHandle sequence = new_sequence(predictor);
  foregate_sequence* batch[] = {sequence.get()};
  Scores scores{};
  const std::array<float, 3> state = {0, 3, 0};
  ASSERT_EQ(foregate_sequence_token(sequence.get(), 0), FOREGATE_OK);
  ASSERT_EQ(foregate_sequence_state(sequence.get(), 0, state.data(), FOREGATE_FLOAT32, 3),
            FOREGATE_OK);
  ASSERT_EQ(foregate_predict_scores(batch, 1, 1, scores.data()), FOREGATE_OK);
  EXPECT_NEAR(scores[1], std::sqrt(3.0F), 1e-5);
  expect_failure(foregate_predict_scores(batch, 1, 0, scores.data()), FOREGATE_INVALID_ARGUMENT,
                 "layer is 0; this predictor predicts MoE layers 1 to 1");
}

TEST(PredictorApi, ABatchIsWhatItsSequencesAre) {
  const TemporaryFolder folder;
  const PredictorHandle predictor = next_gate(folder, "pre-attention", 2);
  constexpr size_t kBatch = 33;
  std::vector<SequenceHandle> sequences;
  std::vector<foregate_sequence*> batch;
  for (size_t i = 0; i < kBatch; ++i) {
    sequences.push_back(new_sequence(predictor));
    batch.push_back(sequences.back().get());
    const std::array<float, 3> state = {static_cast<float>(i), 1, -2};
    ASSERT_EQ(foregate_sequence_token(batch[i], 0), FOREGATE_OK);
    ASSERT_EQ(foregate_sequence_state(batch[i], 0, state.data(), FOREGATE_FLOAT32, 3), FOREGATE_OK);
  }
  std::vector<float> all(kBatch * kExperts);
  std::vector<int32_t> best(kBatch * 2);
  ASSERT_EQ(foregate_predict_scores(batch.data(), kBatch, 0, all.data()), FOREGATE_OK);
  ASSERT_EQ(foregate_predict_best(batch.data(), kBatch, 0, 2, best.data()), FOREGATE_OK);
  for (size_t i = 0; i < kBatch; ++i) {
    Scores own{};
    std::array<int32_t, 2> own_best{};
    ASSERT_EQ(foregate_predict_scores(&batch[i], 1, 0, own.data()), FOREGATE_OK);
    ASSERT_EQ(foregate_predict_best(&batch[i], 1, 0, 2, own_best.data()), FOREGATE_OK);
    for (size_t e = 0; e < kExperts; ++e) EXPECT_EQ(all[i * kExperts + e], own[e]);
    for (size_t m = 0; m < 2; ++m) EXPECT_EQ(best[i * 2 + m], own_best[m]);
  }
  EXPECT_EQ(foregate_predict_scores(batch.data(), 0, 0, all.data()), FOREGATE_OK);
}

TEST(PredictorApi, HandlesAreFreedInAnyOrderAndUsedByManyThreads) {
  const TemporaryFolder folder;
  PredictorHandle predictor = by_hand(folder, "frequency", "layer-1");
  std::vector<SequenceHandle> sequences;
  for (int i = 0; i < 4; ++i) sequences.push_back(new_sequence(predictor));
  predictor.reset();
  std::vector<std::thread> threads;
  for (const SequenceHandle& sequence : sequences) {
    threads.emplace_back([&] {
      foregate_sequence* batch[] = {sequence.get()};
      std::array<int32_t, 4> best{};
      for (int32_t token = 0; token < 100; ++token) {
        EXPECT_EQ(foregate_sequence_token(sequence.get(), token), FOREGATE_OK);
        EXPECT_EQ(foregate_predict_best(batch, 1, 1, 4, best.data()), FOREGATE_OK);
        EXPECT_THAT(best, ElementsAre(0, 1, 2, 3));
        // Messages are each thread's own.
        EXPECT_EQ(foregate_predict_best(batch, 1, token + 2, 4, best.data()),
                  FOREGATE_INVALID_ARGUMENT);
        EXPECT_THAT(foregate_last_error(),
                    ::testing::HasSubstr("layer is " + std::to_string(token + 2) + ";"));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(PredictorApi, ScoresThatAreNoNumbersComeLast) {
  const TemporaryFolder folder;
  PredictorDirectory directory(folder / "nan");
  const float nan = std::numeric_limits<float>::quiet_NaN();
  directory.tensor<float>("frequency", "F32", {2, 4}, {nan, 1, nan, 2, nan, nan, nan, nan});
  directory.write("frequency", "next-token");
  const PredictorHandle predictor = load(directory.path());
  const SequenceHandle sequence = new_sequence(predictor);
  foregate_sequence* batch[] = {sequence.get()};
  std::array<int32_t, 4> best{};
  ASSERT_EQ(foregate_sequence_token(sequence.get(), 0), FOREGATE_OK);
  ASSERT_EQ(foregate_predict_best(batch, 1, 0, 4, best.data()), FOREGATE_OK);
  EXPECT_THAT(best, ElementsAre(3, 1, 0, 2));
  ASSERT_EQ(foregate_predict_best(batch, 1, 1, 4, best.data()), FOREGATE_OK);
  EXPECT_THAT(best, ElementsAre(0, 1, 2, 3));
}

TEST(PredictorApi, RefusesNullPointers) {
  const TemporaryFolder folder;
  const PredictorHandle predictor = by_hand(folder, "frequency", "next-token");
  const SequenceHandle sequence = new_sequence(predictor);
  ASSERT_EQ(foregate_sequence_token(sequence.get(), 0), FOREGATE_OK);
  foregate_sequence* batch[] = {sequence.get()};
  foregate_sequence* hole[] = {sequence.get(), nullptr};
  foregate_predictor* loaded = nullptr;
  foregate_sequence* created = nullptr;
  foregate_predictor_info info{};
  int32_t number = 0;
  Scores scores{};
  const std::array<int32_t, 2> chosen = {0, 1};
  for (const foregate_status status :
       {foregate_predictor_load(nullptr, &loaded), foregate_predictor_load("x", nullptr),
        foregate_predictor_get_info(nullptr, &info),
        foregate_predictor_get_info(predictor.get(), nullptr),
        foregate_predictor_moe_layer(nullptr, 0, &number),
        foregate_predictor_moe_layer(predictor.get(), 0, nullptr),
        foregate_sequence_create(nullptr, &created),
        foregate_sequence_create(predictor.get(), nullptr), foregate_sequence_reset(nullptr),
        foregate_sequence_token(nullptr, 0),
        foregate_sequence_routing(nullptr, 0, chosen.data(), 2),
        foregate_sequence_routing(sequence.get(), 0, nullptr, 2),
        foregate_sequence_state(nullptr, 0, scores.data(), FOREGATE_FLOAT32, 3),
        foregate_sequence_state(sequence.get(), 0, nullptr, FOREGATE_FLOAT32, 3),
        foregate_predict_scores(nullptr, 1, 0, scores.data()),
        foregate_predict_scores(hole, 2, 0, scores.data()),
        foregate_predict_scores(batch, 1, 0, nullptr),
        foregate_predict_best(nullptr, 1, 0, 1, &number),
        foregate_predict_best(batch, 1, 0, 1, nullptr)}) {
    EXPECT_EQ(status, FOREGATE_INVALID_ARGUMENT);
    EXPECT_THAT(foregate_last_error(), ::testing::HasSubstr("null pointer"));
  }
  foregate_predictor_free(nullptr);
  foregate_sequence_free(nullptr);
}

TEST(PredictorApi, RefusesWhatDoesNotFitTheModel) {
  const TemporaryFolder folder;
  const PredictorHandle predictor = by_hand(folder, "previous-token", "next-token");
  const PredictorHandle other = by_hand(folder, "frequency", "next-token");
  const SequenceHandle sequence = new_sequence(predictor);
  const SequenceHandle stranger = new_sequence(other);
  const auto routing = [&](int32_t layer, std::vector<int32_t> experts) {
    return foregate_sequence_routing(sequence.get(), layer, experts.data(), experts.size());
  };
  const std::array<float, 4> state{};
  const auto show = [&](int32_t layer, int dtype, size_t size) {
    return foregate_sequence_state(sequence.get(), layer, state.data(), dtype, size);
  };
  expect_failure(routing(0, {0, 1}), FOREGATE_NOT_OBSERVED, "without a token");
  expect_failure(show(0, FOREGATE_FLOAT32, 3), FOREGATE_NOT_OBSERVED, "without a token");
  expect_failure(foregate_sequence_token(sequence.get(), -1), FOREGATE_INVALID_ARGUMENT,
                 "token id is -1");
  ASSERT_EQ(foregate_sequence_token(sequence.get(), INT32_MAX), FOREGATE_OK);
  ASSERT_EQ(foregate_sequence_token(stranger.get(), 0), FOREGATE_OK);
  expect_failure(routing(2, {0, 1}), FOREGATE_INVALID_ARGUMENT, "layer is 2");
  expect_failure(routing(-1, {0, 1}), FOREGATE_INVALID_ARGUMENT, "layer is -1");
  expect_failure(routing(0, {0}), FOREGATE_INVALID_ARGUMENT, "names 1 experts");
  expect_failure(routing(0, {0, 1, 2}), FOREGATE_INVALID_ARGUMENT, "names 3 experts");
  expect_failure(routing(0, {0, 4}), FOREGATE_INVALID_ARGUMENT, "names expert 4");
  expect_failure(routing(0, {-1, 0}), FOREGATE_INVALID_ARGUMENT, "names expert -1");
  expect_failure(routing(0, {2, 2}), FOREGATE_INVALID_ARGUMENT, "expert 2 twice");
  EXPECT_EQ(routing(0, {2, 1}), FOREGATE_OK);
  expect_failure(routing(0, {2, 1}), FOREGATE_INVALID_ARGUMENT, "given already");
  expect_failure(show(2, FOREGATE_FLOAT32, 3), FOREGATE_INVALID_ARGUMENT, "layer is 2");
  expect_failure(show(0, FOREGATE_FLOAT32, 4), FOREGATE_INVALID_ARGUMENT, "has 4 values");
  expect_failure(show(0, 9, 3), FOREGATE_INVALID_ARGUMENT, "dtype is 9");
  EXPECT_EQ(show(0, FOREGATE_FLOAT32, 3), FOREGATE_OK);  // of no use to previous-token

  foregate_sequence* batch[] = {sequence.get(), stranger.get()};
  std::array<int32_t, 8> best{};
  expect_failure(foregate_predict_best(batch, 2, 0, 2, best.data()), FOREGATE_INVALID_ARGUMENT,
                 "sequence 1 of the batch belongs to another predictor");
  expect_failure(foregate_predict_best(batch, 1, 2, 2, best.data()), FOREGATE_INVALID_ARGUMENT,
                 "layer is 2");
  expect_failure(foregate_predict_best(batch, 1, 0, 0, best.data()), FOREGATE_INVALID_ARGUMENT,
                 "m is 0");
  expect_failure(foregate_predict_best(batch, 1, 0, 5, best.data()), FOREGATE_INVALID_ARGUMENT,
                 "m is 5");
  int32_t layer = 0;
  expect_failure(foregate_predictor_moe_layer(predictor.get(), -1, &layer),
                 FOREGATE_INVALID_ARGUMENT, "decoder_layer is -1");
}

TEST(PredictorApi, NamesEveryStatus) {
  for (int status = FOREGATE_OK; status <= FOREGATE_INTERNAL; ++status) {
    EXPECT_THAT(foregate_status_name(status), ::testing::StartsWith("FOREGATE_"));
  }
  EXPECT_STREQ(foregate_status_name(99), "unknown status");
}

TEST(LoadingAPredictor, SaysWhatIsMissing) {
  const TemporaryFolder folder;
  expect_load_failure(folder / "nowhere", FOREGATE_NOT_FOUND, "is not a predictor");
  const PredictorDirectory directory = frequency_directory(folder / "p");
  directory.write("frequency", "next-token");
  std::filesystem::remove(directory.path() / "weights.safetensors");
  expect_load_failure(directory.path(), FOREGATE_NOT_FOUND, "weights.safetensors");
}

TEST(LoadingAPredictor, RefusesEveryTruncationOfTheWeights) {
  const TemporaryFolder folder;
  const PredictorDirectory directory = frequency_directory(folder / "p");
  directory.write("frequency", "next-token");
  const auto weights = directory.path() / "weights.safetensors";
  for (auto size = std::filesystem::file_size(weights); size-- > 0;) {
    std::filesystem::resize_file(weights, size);
    expect_load_failure(directory.path(), FOREGATE_BAD_DATA, "weights.safetensors");
    // The same if the digest were right.
    directory.write_json(directory.json("frequency", "next-token"));
    expect_load_failure(directory.path(), FOREGATE_BAD_DATA, "weights.safetensors");
  }
}

TEST(LoadingAPredictor, RefusesChangedWeights) {
  const TemporaryFolder folder;
  const PredictorDirectory directory = frequency_directory(folder / "p");
  directory.write("frequency", "next-token");
  std::string bytes = read_file(directory.path() / "weights.safetensors");
  bytes.back() = static_cast<char>(bytes.back() + 1);
  testing::write_text(directory.path() / "weights.safetensors", bytes);
  expect_load_failure(directory.path(), FOREGATE_BAD_DATA, "SHA-256");
}

struct BrokenJson {
  const char* name;
  const char* find;  ///< in a good predictor.json; null: the whole document
  const char* replacement;
  foregate_status status;
  const char* saying;
};

class BrokenPredictor : public ::testing::TestWithParam<BrokenJson> {};

TEST_P(BrokenPredictor, IsRefusedInOneLine) {
  const TemporaryFolder folder;
  const PredictorDirectory directory = frequency_directory(folder / "p");
  directory.write("frequency", "next-token");
  std::string json = directory.json("frequency", "next-token");
  if (GetParam().find == nullptr) {
    json = GetParam().replacement;
  } else {
    const size_t at = json.find(GetParam().find);
    ASSERT_NE(at, std::string::npos);
    json.replace(at, std::strlen(GetParam().find), GetParam().replacement);
  }
  directory.write_json(json);
  expect_load_failure(directory.path(), GetParam().status, GetParam().saying);
}

INSTANTIATE_TEST_SUITE_P(
    Table, BrokenPredictor,
    ::testing::Values(
        BrokenJson{"empty", nullptr, "", FOREGATE_BAD_DATA, "not valid JSON"},
        BrokenJson{"list", nullptr, "[]", FOREGATE_BAD_DATA, "expected a JSON object"},
        BrokenJson{"other_format", "foregate-predictor", "elegate", FOREGATE_BAD_DATA,
                   "not a foregate predictor"},
        BrokenJson{"newer", "\"format_version\": 1", "\"format_version\": 2", FOREGATE_BAD_DATA,
                   "format version 2"},
        BrokenJson{"version_text", "\"format_version\": 1", "\"format_version\": \"1\"",
                   FOREGATE_BAD_DATA, "format_version"},
        BrokenJson{"unknown", "\"frequency\"", "\"lstm\"", FOREGATE_UNSUPPORTED,
                   "\"lstm\" is not known"},
        BrokenJson{"theKnown", "\"frequency\"", "\"lstm\"", FOREGATE_UNSUPPORTED, "gate-adapter"},
        BrokenJson{"lead_of_others", "\"frequency\"", "\"transition\"", FOREGATE_BAD_DATA,
                   "cannot predict at lead next-token"},
        BrokenJson{"unknown_lead", "\"next-token\"", "\"layer-0\"", FOREGATE_BAD_DATA, "'lead'"},
        BrokenJson{"lead_too_long", "\"next-token\"", "\"layer-2\"", FOREGATE_BAD_DATA,
                   "needs more than 2 MoE layers"},
        BrokenJson{"no_experts", "\"num_experts\": 4", "\"num_experts\": 0", FOREGATE_BAD_DATA,
                   "num_experts"},
        BrokenJson{"other_experts", "\"num_experts\": 4", "\"num_experts\": 5", FOREGATE_BAD_DATA,
                   "expected F32 [2, 5]"},
        BrokenJson{"missing_tensor", "\"frequency\"", "\"token-table\"", FOREGATE_BAD_DATA,
                   "tensor \"ids\" is missing"},
        BrokenJson{"no_digest", "weights_sha256", "digest", FOREGATE_BAD_DATA,
                   "missing key 'weights_sha256'"},
        BrokenJson{"model_list", "{\"name\": \"by-hand\"}", "[]", FOREGATE_BAD_DATA, "model"}),
    [](const auto& test) { return test.param.name; });

TEST(LoadingAPredictor, RefusesTensorsOfOtherDtypes) {
  const TemporaryFolder folder;
  PredictorDirectory directory(folder / "p");
  directory.tensor<uint16_t>("frequency", "F16", {2, 4}, std::vector<uint16_t>(8));
  directory.write("frequency", "next-token");
  expect_load_failure(directory.path(), FOREGATE_BAD_DATA, "is F16 [2, 4]; expected F32 [2, 4]");
}

TEST(LoadingAPredictor, CopiesWhatTheFileDoesNotAlign) {
  const TemporaryFolder folder;
  PredictorDirectory directory(folder / "p");
  directory.tensor<uint8_t>("odd", "U8", {1}, {1});
  directory.tensor<float>("frequency", "F32", {2, 4}, {1, 2, 3, 4, 5, 6, 7, 8});
  directory.write("frequency", "next-token");
  const PredictorHandle predictor = load(directory.path());
  const SequenceHandle sequence = new_sequence(predictor);
  foregate_sequence* batch[] = {sequence.get()};
  Scores scores{};
  ASSERT_EQ(foregate_sequence_token(sequence.get(), 0), FOREGATE_OK);
  ASSERT_EQ(foregate_predict_scores(batch, 1, 1, scores.data()), FOREGATE_OK);
  EXPECT_THAT(scores, ElementsAre(5, 6, 7, 8));
}

/// `statistics` with two ids, one pair; lists may be given broken.
void write_statistics(const PredictorDirectory& to, std::vector<int64_t> pair_begin,
                      std::vector<int16_t> pair_experts) {
  PredictorDirectory directory(to.path());
  const auto zeros = [&](const char* name, std::vector<int64_t> shape, auto zero) {
    size_t size = 1;
    for (const int64_t dimension : shape) size *= static_cast<size_t>(dimension);
    using Value = decltype(zero);
    directory.tensor<Value>(name, std::is_same_v<Value, float> ? "F32" : "I32", shape,
                            std::vector<Value>(size));
  };
  directory.tensor<int64_t>("ids", "I64", {2}, {1, 3});
  directory.tensor<int64_t>("pair_ids", "I64", {1}, {(int64_t{1} << 32) | 3});
  directory.tensor<int64_t>("pair_begin", "I64", {static_cast<int64_t>(pair_begin.size())},
                            pair_begin);
  for (const char* name : {"frequency", "first_frequency"}) zeros(name, {2, 4}, 0.0F);
  for (const char* name : {"id_tokens", "before_tokens"}) zeros(name, {2}, int32_t{0});
  for (const char* name : {"id_experts", "id_first", "before_experts"}) {
    zeros(name, {2, 2, 4}, int32_t{0});
  }
  zeros("previous", {2, 4, 4}, 0.0F);
  zeros("mixture", {2, 9}, 0.0F);
  directory.tensor<int16_t>("pair_experts", "I16",
                            {static_cast<int64_t>(pair_experts.size()) / 4, 2, 2}, pair_experts);
  directory.write("statistics", "next-token");
}

TEST(LoadingAPredictor, RefusesListsThatPointOutside) {
  const TemporaryFolder folder;
  const PredictorDirectory directory(folder / "p");
  const std::vector<int16_t> good = {0, 1, 2, 3};
  write_statistics(directory, {0, 1}, good);
  load(directory.path());
  using Begin = std::vector<int64_t>;
  for (const Begin& begin : {Begin{0, 2}, Begin{1, 1}, Begin{0, -1}, Begin{0, INT64_MAX}}) {
    write_statistics(directory, begin, good);
    expect_load_failure(directory.path(), FOREGATE_BAD_DATA, "do not fit each other");
  }
  write_statistics(directory, {0}, good);
  expect_load_failure(directory.path(), FOREGATE_BAD_DATA, "\"pair_begin\" is I64 [1]");
  for (const std::vector<int16_t>& experts : {std::vector<int16_t>{0, 1, 2, 4}, {0, -1, 2, 3}}) {
    write_statistics(directory, {0, 1}, experts);
    expect_load_failure(directory.path(), FOREGATE_BAD_DATA, "do not fit each other");
  }
}

TEST(PredictorApi, StatisticsWantsEveryEarlierToken) {
  const TemporaryFolder folder;
  const PredictorDirectory directory(folder / "p");
  write_statistics(directory, {0, 1}, {0, 1, 2, 3});
  const PredictorHandle predictor = load(directory.path());
  const SequenceHandle sequence = new_sequence(predictor);
  foregate_sequence* batch[] = {sequence.get()};
  const std::array<int32_t, 2> chosen = {3, 0};
  Scores scores{};
  for (int32_t token = 0; token < 3; ++token) {
    ASSERT_EQ(foregate_sequence_token(sequence.get(), 3), FOREGATE_OK);
    ASSERT_EQ(foregate_predict_scores(batch, 1, 0, scores.data()), FOREGATE_OK);
    ASSERT_EQ(foregate_sequence_routing(sequence.get(), 0, chosen.data(), 2), FOREGATE_OK);
    if (token == 1) continue;  // layer 1 is left out once
    ASSERT_EQ(foregate_sequence_routing(sequence.get(), 1, chosen.data(), 2), FOREGATE_OK);
  }
  ASSERT_EQ(foregate_sequence_token(sequence.get(), 3), FOREGATE_OK);
  EXPECT_EQ(foregate_predict_scores(batch, 1, 0, scores.data()), FOREGATE_OK);
  expect_failure(foregate_predict_scores(batch, 1, 1, scores.data()), FOREGATE_NOT_OBSERVED,
                 "token 1 at layer 1");
}

}  // namespace
}  // namespace foregate::capi
