#include "predict/runs/train.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/cuda.h>
#include <torch/types.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "base/hash.h"
#include "predict/calibration.h"
#include "predict/evaluation/evaluate.h"
#include "predict/registry.h"
#include "support/recorded_run.h"
#include "support/synthetic_trace.h"
#include "support/temporary_folder.h"

namespace foregate::predict {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::RecordedRun;
using testing::TemporaryFolder;

class Train : public ::testing::Test {
 protected:
  Train() {
    testing::write_synthetic_trace(traces());
    write_file_atomically(config(), R"({"steps": 30, "batch_tokens": 64, "validate_every": 4})");
  }

  std::filesystem::path traces() const { return directory_.path() / "traces"; }
  std::filesystem::path config() const { return directory_.path() / "config.json"; }

  /// A trace of a single text, without features and gate weights.
  std::filesystem::path write_one_text() const {
    trace::Geometry geometry;
    geometry.num_moe_layers = 2;
    geometry.num_experts = 3;
    geometry.top_k = 1;
    geometry.moe_layers = {0, 1};
    trace::Trace trace;
    trace.dataset = "one";
    trace.token_ids = {1, 2};
    trace.prompt_tokens = 2;
    trace.experts = {0, 1, 1, 2};
    const std::filesystem::path small = directory_.path() / "small";
    testing::write_trace(small, geometry, {trace});
    return small;
  }

  void write_loss_config(const std::string& loss) const {
    write_file_atomically(config(), R"({"steps": 150, "batch_tokens": 256, "validate_every": 25,
                                        "loss": ")" +
                                        loss + "\"}");
  }

  TrainOptions options(const char* output, const char* predictor = "gate-adapter",
                       scoring::Lead lead = scoring::Lead::layer(1)) const {
    TrainOptions options;
    options.traces = traces();
    options.predictor = predictor;
    options.lead = lead;
    options.output = directory_.path() / output;
    options.config = config();
    return options;
  }

  template <typename ErrorType = Error>
  static std::string error_of(const TrainOptions& options, const RunContext& run = silent_run()) {
    try {
      train_predictor(options, run);
    } catch (const ErrorType& error) {
      return error.what();
    }
    return "no such error";
  }

  TemporaryFolder directory_;
};

std::string weights_of(const TrainOptions& options) {
  return sha256_of_file(options.output / scoring::kPredictorWeightsFile);
}

TEST_F(Train, TellsItsRunContextAndNobodyElse) {
  RecordedRun run;
  ::testing::internal::CaptureStderr();
  train_predictor(options("told"), run.context());
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
  ASSERT_EQ(run.jobs().size(), 1U);
  const RecordedRun::Job job = run.jobs().front();
  EXPECT_EQ(job.info.label, "training gate-adapter at layer-1");
  EXPECT_EQ(job.info.unit, "steps");
  EXPECT_EQ(job.done, job.info.total);
  EXPECT_EQ(job.updates, job.info.total);
  EXPECT_TRUE(job.finished);
  EXPECT_THAT(run.messages(), Contains(HasSubstr("best validation recall")));
}

TEST_F(Train, AResumedTrainingEqualsAnUninterruptedOne) {
  for (const char* predictor : {"gate-adapter", "gate-mlp", "mlp", "transformer"}) {
    const TrainOptions whole = options((std::string(predictor) + "-whole").c_str(), predictor);
    train_predictor(whole);
    const TrainOptions stopped = options((std::string(predictor) + "-stopped").c_str(), predictor);
    for (const int stop_after : {1, 9, 7}) {
      RecordedRun run;
      run.stop_after(stop_after);
      EXPECT_THAT(error_of<InterruptedError>(stopped, run.context()),
                  HasSubstr("run the same command again"));
      EXPECT_FALSE(is_predictor_directory(stopped.output));
    }
    train_predictor(stopped);
    EXPECT_EQ(weights_of(stopped), weights_of(whole));
    EXPECT_FALSE(fs::exists(stopped.output / "checkpoint.safetensors"));
  }
}

TEST_F(Train, TheSeedDecides) {
  const TrainOptions first = options("first");
  const TrainOptions again = options("again");
  TrainOptions other = options("other");
  other.seed = 1;
  for (const auto& each : {first, again, other}) train_predictor(each);
  EXPECT_EQ(weights_of(first), weights_of(again));
  EXPECT_NE(weights_of(first), weights_of(other));
}

TEST_F(Train, AFinishedTrainingIsNotRepeated) {
  for (const char* predictor : {"gate-adapter", "random", "frequency"}) {
    TrainOptions once = options(predictor, predictor);
    once.seed = 7;
    if (std::string(predictor) != "gate-adapter") once.config.clear();
    EXPECT_FALSE(train_predictor(once).already_done);
    EXPECT_TRUE(train_predictor(once).already_done);
    once.seed = 8;
    EXPECT_THAT(error_of<UsageError>(once), HasSubstr("choose another --output"));
  }
}

TEST_F(Train, HowOftenTheStateIsKeptMayChange) {
  const TrainOptions wanted = options("kept");
  RecordedRun run;
  run.stop_after(10);
  EXPECT_THROW(train_predictor(wanted, run.context()), InterruptedError);
  write_file_atomically(config(),
                        R"({"steps": 30, "batch_tokens": 64, "validate_every": 4,
                            "checkpoint_seconds": 7})");
  EXPECT_FALSE(train_predictor(wanted).already_done);
  write_file_atomically(config(),
                        R"({"steps": 30, "batch_tokens": 64, "validate_every": 4,
                            "checkpoint_seconds": 8})");
  EXPECT_TRUE(train_predictor(wanted).already_done);
}

TEST_F(Train, ACheckpointOfOtherSettingsIsNotGoneOnWith) {
  const TrainOptions stopped = options("stopped");
  RecordedRun run;
  run.stop_after(3);
  EXPECT_THROW(train_predictor(stopped, run.context()), InterruptedError);
  write_file_atomically(config(), R"({"steps": 31, "batch_tokens": 64})");
  EXPECT_THAT(error_of<UsageError>(stopped), HasSubstr("other settings"));
}

TEST_F(Train, LearnsMoreThanItStartedWith) {
  write_file_atomically(config(), R"({"steps": 150, "batch_tokens": 256, "validate_every": 25})");
  const TrainSummary adapter = train_predictor(options("adapter"));
  TrainOptions gate = options("gate", "next-gate");
  gate.config.clear();
  const TrainSummary start = train_predictor(gate);
  ASSERT_EQ(adapter.info.validation[0].first, "recall@2");
  EXPECT_GT(adapter.info.validation[0].second, start.info.validation[0].second + 0.02);
}

TEST_F(Train, SaysWhenItKeptItsStart) {
  RecordedRun usual;
  const TrainSummary learned = train_predictor(options("learned"), usual.context());
  EXPECT_GT(learned.info.best_step, 0);
  EXPECT_THAT(usual.messages(), Not(Contains(HasSubstr("than the start"))));
  write_file_atomically(config(), R"({"steps": 2, "batch_tokens": 1, "learning_rate": 1e-9})");
  for (const char* predictor : {"gate-adapter", "gate-mlp"}) {
    RecordedRun run;
    const TrainOptions tiny = options((predictor + std::string("-kept")).c_str(), predictor);
    EXPECT_EQ(train_predictor(tiny, run.context()).info.best_step, 0);
    EXPECT_THAT(run.messages(), Contains(HasSubstr("warning: training " + std::string(predictor) +
                                                   " at layer-1: in 2 steps nothing was better")));
    EXPECT_EQ(read_predictor_info(tiny.output).best_step, 0);
    EXPECT_TRUE(train_predictor(tiny).already_done);
    EvaluateOptions measured;
    measured.traces = traces();
    measured.predictors = {tiny.output.string()};
    const stats::Evaluation evaluation = evaluate(measured);
    EXPECT_TRUE(evaluation.rows.at(0).kept_start);
  }
  TrainOptions counting = options("counting", "frequency");
  counting.config.clear();
  EXPECT_FALSE(train_predictor(counting).info.best_step.has_value());
}

TEST_F(Train, EveryLossLearns) {
  for (const char* predictor : {"gate-adapter", "transformer"}) {
    TrainOptions none = options((predictor + std::string("-none")).c_str(), predictor);
    write_file_atomically(config(), R"({"steps": 1, "batch_tokens": 1, "learning_rate": 1e-9})");
    const double start = train_predictor(none).info.validation[0].second;
    for (const char* loss : {"bce", "gate-mass", "listwise"}) {
      write_loss_config(loss);
      const TrainOptions wanted = options((predictor + std::string(loss)).c_str(), predictor);
      EXPECT_GT(train_predictor(wanted).info.validation[0].second, start + 0.02)
          << predictor << ", " << loss;
    }
  }
}

TEST_F(Train, ALossThatNeedsGateWeightsSaysSo) {
  TrainOptions wanted = options("gates", "transformer", scoring::Lead::next_token());
  wanted.traces = write_one_text();
  write_file_atomically(config(), R"({"loss": "listwise"})");
  EXPECT_THAT(error_of<DataError>(wanted), HasSubstr("set \"loss\" to \"bce\""));
  EXPECT_FALSE(fs::exists(wanted.output));
}

TEST_F(Train, EveryLossLearnsTheSameOnAGpu) {
  if (!torch::cuda::is_available()) GTEST_SKIP() << "no CUDA device that this libtorch can use";
  for (const std::string loss : {"gate-mass", "listwise"}) {
    write_loss_config(loss);
    const TrainSummary cpu = train_predictor(options((loss + "-cpu").c_str()));
    TrainOptions there = options((loss + "-gpu").c_str());
    there.device = torch::Device(torch::kCUDA, 0);
    const TrainSummary gpu = train_predictor(there);
    EXPECT_NEAR(gpu.info.validation[0].second, cpu.info.validation[0].second, 0.02) << loss;
  }
}

// There, steps are recorded and replayed.
TEST_F(Train, LearnsTheSameOnAGpu) {
  if (!torch::cuda::is_available()) GTEST_SKIP() << "no CUDA device that this libtorch can use";
  write_file_atomically(config(), R"({"steps": 150, "batch_tokens": 256, "validate_every": 25})");
  for (const char* name : {"gate-adapter", "gate-mlp", "mlp", "transformer"}) {
    const TrainSummary cpu = train_predictor(options((name + std::string("-cpu")).c_str(), name));
    TrainOptions there = options((name + std::string("-gpu")).c_str(), name);
    there.device = torch::Device(torch::kCUDA, 0);
    RecordedRun run;
    run.stop_after(70);
    EXPECT_THROW(train_predictor(there, run.context()), InterruptedError);
    const TrainSummary gpu = train_predictor(there);
    EXPECT_NEAR(gpu.info.validation[0].second, cpu.info.validation[0].second, 0.02) << name;
  }
}

TEST_F(Train, StoresTheCalibrationOfTheValidationTexts) {
  for (const char* name : {"gate-adapter", "transition"}) {
    TrainOptions wanted = options(name, name);
    if (name == std::string("transition")) wanted.config.clear();
    const TrainSummary summary = train_predictor(wanted);
    const StoredPredictor stored = load_predictor(wanted.output);
    const Corpus corpus(traces());
    const auto expected = fit_calibrations({stored.predictor.get()}, corpus).front();
    ASSERT_TRUE(expected && stored.info.calibration && summary.info.calibration) << name;
    EXPECT_EQ(stored.info.calibration->scale, expected->scale);
    EXPECT_EQ(stored.info.calibration->shared, expected->shared);
    EXPECT_EQ(stored.info.calibration->offset, expected->offset);
    EXPECT_NE(expected->scale, scoring::Calibration{}.scale);
    // It is no setting: the training counts as done with or without.
    EXPECT_TRUE(train_predictor(wanted).already_done);
  }
}

TEST_F(Train, WithoutValidationTextsThereIsNoCalibration) {
  TrainOptions wanted = options("frequency", "frequency");
  wanted.traces = write_one_text();
  wanted.config.clear();
  train_predictor(wanted);
  EXPECT_FALSE(read_predictor_info(wanted.output).calibration);
  EXPECT_FALSE(read_json(wanted.output / scoring::kPredictorFile).contains(scoring::kCalibration));
}

TEST_F(Train, RunsOfTokensTrainToo) {
  write_file_atomically(config(), R"({"steps": 10, "batch_tokens": 64, "run_tokens": 16})");
  EXPECT_FALSE(train_predictor(options("runs")).info.validation.empty());
}

TEST_F(Train, UnknownOrWrongSettingsAreNamed) {
  write_file_atomically(config(), R"({"stepz": 3})");
  EXPECT_THAT(error_of<UsageError>(options("a")),
              HasSubstr("'stepz' is no setting of gate-adapter"));
  write_file_atomically(config(), R"({"steps": 0})");
  EXPECT_THAT(error_of<DataError>(options("b")), HasSubstr("steps"));
  write_file_atomically(config(), R"({"loss": "hinge"})");
  EXPECT_THAT(error_of<DataError>(options("d")), HasSubstr("one of bce, gate-mass, listwise"));
  write_file_atomically(config(), R"({"rank": 8})");
  EXPECT_THAT(error_of<UsageError>(options("c", "mlp")), HasSubstr("'rank' is no setting of mlp"));
}

TEST_F(Train, UnknownNamesAndLeadsAreUsageErrors) {
  EXPECT_THAT(error_of<UsageError>(options("a", "oracle")), HasSubstr("gate-adapter"));
  EXPECT_THAT(error_of<UsageError>(options("b", "gate-adapter", scoring::Lead::next_token())),
              HasSubstr("layer-H, pre-attention"));
  EXPECT_THAT(error_of<UsageError>(options("c", "gate-adapter", scoring::Lead::layer(4))),
              HasSubstr("4"));
}

TEST_F(Train, WithoutFeaturesItSaysHowToRecordThem) {
  TrainOptions bare = options("bare");
  bare.traces = directory_.path() / "no-features";
  testing::write_synthetic_trace(bare.traces, {.features = false});
  EXPECT_THAT(error_of<DataError>(bare), HasSubstr("--record features"));
  EXPECT_FALSE(fs::exists(bare.output));
}

TEST_F(Train, WeightsThatDoNotBelongToThePredictorAreRefused) {
  const TrainOptions one = options("one");
  TrainOptions other = options("other");
  other.seed = 1;
  train_predictor(one);
  train_predictor(other);
  fs::copy_file(other.output / scoring::kPredictorWeightsFile,
                one.output / scoring::kPredictorWeightsFile, fs::copy_options::overwrite_existing);
  EXPECT_THROW(load_predictor(one.output), DataError);
}

}  // namespace
}  // namespace foregate::predict
