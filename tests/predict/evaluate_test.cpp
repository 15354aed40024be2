#include "predict/evaluation/evaluate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/cuda.h>
#include <torch/types.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "predict/predictor_store.h"
#include "predict/registry.h"
#include "predict/runs/train.h"
#include "predict/texts/corpus.h"
#include "predict/texts/routed_text.h"
#include "support/synthetic_trace.h"
#include "support/temporary_folder.h"
#include "tensor/files/safetensors.h"
#include "trace/features.h"

namespace foregate::predict {
namespace {

using ::testing::HasSubstr;
using testing::TemporaryFolder;

class Evaluate : public ::testing::Test {
 protected:
  std::filesystem::path make_traces(const char* name,
                                    const testing::SyntheticOptions& options = {}) {
    testing::write_synthetic_trace(directory_.path() / name, options);
    return directory_.path() / name;
  }

  static EvaluateOptions options(const std::filesystem::path& traces,
                                 std::vector<std::string> predictors = {}) {
    EvaluateOptions options;
    options.traces = traces;
    options.predictors = std::move(predictors);
    return options;
  }

  std::string train(const std::filesystem::path& traces, const char* predictor,
                    scoring::Lead lead) {
    TrainOptions train;
    train.traces = traces;
    train.predictor = predictor;
    train.lead = lead;
    train.output = directory_.path() / (std::string(predictor) + "-" + scoring::lead_name(lead));
    if (find_predictor_kind(predictor)->trained) {
      train.config = directory_.path() / "config.json";
      write_file_atomically(train.config, R"({"steps": 20, "batch_tokens": 64})");
    }
    train_predictor(train);
    return train.output.string();
  }

  template <typename ErrorType>
  static std::string error_of(const EvaluateOptions& options) {
    try {
      evaluate(options);
    } catch (const ErrorType& error) {
      return error.what();
    }
    return "no such error";
  }

  TemporaryFolder directory_;
};

double metric(const stats::EvaluationRow& row, const stats::MetricKey& key) {
  const stats::Interval* value = row.whole().metrics.find(key);
  if (value != nullptr) return value->mean;
  ADD_FAILURE() << "no metric " << stats::metric_name(key);
  return -1;
}

double metric(const stats::EvaluationRow& row, const std::string& name) {
  return metric(row, stats::parse_metric(name).value());
}

TEST_F(Evaluate, ByDefaultEverythingUntrainedAtItsLeads) {
  const auto traces = make_traces("traces");
  const stats::Evaluation evaluation = evaluate(options(traces));
  std::set<std::string> rows;
  for (const stats::EvaluationRow& row : evaluation.rows)
    rows.insert(row.lead + " " + row.predictor);
  EXPECT_EQ(
      rows,
      (std::set<std::string>{
          "next-token random", "next-token frequency", "next-token previous-token",
          "next-token token-table", "next-token statistics", "layer-1 random", "layer-1 frequency",
          "layer-1 transition", "layer-1 statistics", "layer-1 next-gate", "layer-2 random",
          "layer-2 frequency", "layer-2 transition", "layer-2 statistics", "layer-2 next-gate",
          "pre-attention random", "pre-attention frequency", "pre-attention next-gate"}));
  EXPECT_TRUE(evaluation.has_control);
  EXPECT_GT(evaluation.control_decisions, 0);
  EXPECT_EQ(evaluation.control_matches, evaluation.control_decisions);
  EXPECT_EQ(evaluation.split, "test");
  EXPECT_EQ(evaluation.num_moe_layers, 4);
}

TEST_F(Evaluate, RowsAreTheSameTextsAndAddUp) {
  const auto traces = make_traces("traces");
  const stats::Evaluation evaluation = evaluate(options(traces));
  int64_t tokens = 0;
  for (const RoutedText& text :
       testing::read_texts(Corpus(traces), {.split = trace::Split::kTest})) {
    tokens += text.num_tokens();
  }
  for (const stats::EvaluationRow& row : evaluation.rows) {
    const int layers = 4 - scoring::parse_lead(row.lead).first_layer();
    EXPECT_EQ(row.whole().decisions, tokens * layers) << row.lead;
    const auto by_layer = row.recalls(stats::Part::By::kLayer, 2);
    ASSERT_EQ(by_layer.size(), static_cast<size_t>(layers));
    EXPECT_EQ(by_layer.back().first, stats::Part::moe_layer(3));
    double mean = 0;
    for (const auto& [layer, recall] : by_layer) mean += recall / layers;
    EXPECT_NEAR(mean, metric(row, "recall@2"), 1e-9);
    EXPECT_EQ(row.recall_by_dataset(2).size(), 2U);
    EXPECT_GE(metric(row, "recall@4"), metric(row, "recall@2"));
    EXPECT_GE(metric(row, "gate-mass@4"), metric(row, "gate-mass@2"));
  }
}

TEST_F(Evaluate, SlicesHaveEveryMetricAndAddUp) {
  const stats::Evaluation evaluation = evaluate(options(make_traces("traces")));
  for (const stats::EvaluationRow& row : evaluation.rows) {
    EXPECT_EQ(row.whole().part, stats::Part());
    for (const auto by : {stats::Part::By::kDataset, stats::Part::By::kLayer}) {
      int64_t decisions = 0;
      std::map<stats::MetricKey, double> sums;
      for (const stats::Slice& slice : row.slices) {
        if (slice.part.by != by) continue;
        decisions += slice.decisions;
        EXPECT_LE(slice.texts, row.whole().texts);
        ASSERT_EQ(slice.metrics.size(), row.whole().metrics.size());
        EXPECT_EQ(slice.metrics.front().first, stats::recall_at(2));
        for (const auto& [key, interval] : slice.metrics) {
          sums[key] += interval.mean * static_cast<double>(slice.decisions);
          EXPECT_LE(interval.low, interval.mean + 1e-9);
          EXPECT_GE(interval.high, interval.mean - 1e-9);
        }
      }
      EXPECT_EQ(decisions, row.whole().decisions);
      for (const auto& [key, sum] : sums) {
        EXPECT_NEAR(sum / static_cast<double>(decisions), metric(row, key), 1e-9)
            << stats::metric_name(key);
      }
    }
  }
}

TEST_F(Evaluate, NeuralPredictorsRunOnAGpu) {
  if (!torch::cuda::is_available()) GTEST_SKIP() << "no CUDA device that this libtorch can use";
  const auto traces = make_traces("traces");
  EvaluateOptions here = options(traces, {"next-gate", "frequency"});
  for (const char* name : {"gate-adapter", "gate-mlp", "transformer"}) {
    here.predictors.push_back(train(traces, name, scoring::Lead::layer(1)));
  }
  here.leads = {scoring::Lead::layer(1)};
  EvaluateOptions there = here;
  there.device = torch::Device(torch::kCUDA, 0);
  const stats::Evaluation expected = evaluate(here);
  const stats::Evaluation found = evaluate(there);
  EXPECT_EQ(found.device, "cuda:0");
  ASSERT_EQ(found.rows.size(), 5U);
  for (size_t i = 0; i < found.rows.size(); ++i) {
    EXPECT_NEAR(metric(found.rows[i], "recall@2"), metric(expected.rows[i], "recall@2"), 0.002)
        << found.rows[i].predictor;
    EXPECT_GT(found.rows[i].microseconds, 0);
  }
}

TEST_F(Evaluate, RandomIsChance) {
  const auto traces = make_traces("traces", {.texts_per_dataset = 60});
  EvaluateOptions random = options(traces, {"random"});
  random.leads = {scoring::Lead::next_token()};
  random.all_texts = true;
  const stats::EvaluationRow row = evaluate(random).rows.at(0);
  EXPECT_EQ(row.predictor, "random");
  EXPECT_NEAR(metric(row, "recall@2"), 2.0 / 6, 0.02);
  EXPECT_NEAR(metric(row, "top-1"), 1.0 / 6, 0.02);
}

TEST_F(Evaluate, HoldsOutADataset) {
  const auto traces = make_traces("traces");
  const std::string held_out = trace::read_manifest(traces).datasets.at(1).name;
  const Corpus corpus(traces, held_out);
  for (const RoutedText& text : testing::read_texts(corpus, {.split = trace::Split::kTest})) {
    EXPECT_EQ(text.dataset, held_out);
  }
  for (const trace::Split split : {trace::Split::kTrain, trace::Split::kValidation}) {
    for (const RoutedText& text : testing::read_texts(corpus, {.split = split})) {
      EXPECT_NE(text.dataset, held_out);
    }
  }
  EXPECT_EQ(corpus.count({.split = trace::Split::kTest}),
            trace::read_manifest(traces).datasets[1].traces);

  EvaluateOptions wanted = options(traces, {"token-table"});
  wanted.held_out = held_out;
  const stats::Evaluation evaluation = evaluate(wanted);
  EXPECT_EQ(evaluation.split, "held-out " + held_out);
  EXPECT_EQ(evaluation.rows.at(0).recall_by_dataset(2).size(), 1U);
  wanted.held_out = "nonsense";
  EXPECT_THROW(evaluate(wanted), UsageError);
}

/// Mean recall@2 of one fixed ranking by the counts of `learned` on `measured`, by hand.
double frequency_recall(const std::vector<RoutedText>& learned,
                        const std::vector<RoutedText>& measured) {
  torch::Tensor counts = torch::zeros({4, 6});
  for (const RoutedText& text : learned) counts += multi_hot(text.experts, 6).sum(0);
  const torch::Tensor best =
      counts.argsort(/*stable=*/true, -1, /*descending=*/true).slice(1, 0, 2);  // [4, 2]
  double found = 0;
  double wanted = 0;
  for (const RoutedText& text : measured) {
    found += text.experts.unsqueeze(-1).eq(best.unsqueeze(1)).sum().item<double>();
    wanted += static_cast<double>(text.experts.numel());
  }
  return found / wanted;
}

TEST_F(Evaluate, AcrossDomainsEachDatasetIsLearnedFromAlone) {
  const auto traces = make_traces("traces", {.texts_per_dataset = 40});
  EvaluateOptions wanted = options(traces, {"random", "frequency"});
  wanted.leads = {scoring::Lead::next_token()};
  wanted.cross_domain = true;
  const stats::Evaluation evaluation = evaluate(wanted);
  ASSERT_EQ(evaluation.transfers.size(), 3U);  // nothing of random, which learns nothing
  EXPECT_EQ(evaluation.transfers[0].learned_from, "");
  EXPECT_EQ(evaluation.transfers[0].recall_by_dataset, evaluation.rows.at(1).recall_by_dataset(2));

  const Corpus corpus(traces);
  std::map<std::string, std::vector<RoutedText>> training;
  std::map<std::string, std::vector<RoutedText>> test;
  for (RoutedText& text : testing::read_texts(corpus, {.split = trace::Split::kTrain}))
    training[text.dataset].push_back(std::move(text));
  for (RoutedText& text : testing::read_texts(corpus, {.split = trace::Split::kTest}))
    test[text.dataset].push_back(std::move(text));
  for (size_t i = 1; i < 3; ++i) {
    const stats::TransferRow& row = evaluation.transfers[i];
    EXPECT_EQ(row.recall_by_dataset.size(), 2U);
    for (const auto& [dataset, recall] : row.recall_by_dataset) {
      EXPECT_NEAR(recall, frequency_recall(training.at(row.learned_from), test.at(dataset)), 1e-9);
    }
  }
}

TEST_F(Evaluate, APredictorOfOneDatasetIsARowOfTheMatrix) {
  const auto traces = make_traces("traces", {.texts_per_dataset = 40});
  const std::string dataset = trace::read_manifest(traces).datasets.at(1).name;
  TrainOptions part;
  part.traces = traces;
  part.predictor = "token-table";
  part.lead = scoring::Lead::next_token();
  part.learn_from = dataset;
  part.output = directory_.path() / "part";
  train_predictor(part);
  const StoredPredictor stored = load_predictor(part.output);
  EXPECT_EQ(stored.info.learned_from, dataset);
  const Corpus corpus(traces);
  for (const RoutedText& text : testing::read_texts(corpus, {.split = trace::Split::kTrain})) {
    EXPECT_EQ(stored.seen_texts.contains(text.hash), text.dataset == dataset);
  }

  EvaluateOptions both = options(traces, {"token-table", part.output.string()});
  both.leads = {scoring::Lead::next_token()};
  const stats::Evaluation given = evaluate(both);
  ASSERT_EQ(given.transfers.size(), 2U);
  EXPECT_EQ(given.transfers[1].learned_from, dataset);
  EvaluateOptions fitted = options(traces, {"token-table"});
  fitted.leads = both.leads;
  fitted.cross_domain = true;
  for (const stats::TransferRow& row : evaluate(fitted).transfers) {
    if (row.learned_from != dataset) continue;
    EXPECT_EQ(row.recall_by_dataset, given.transfers[1].recall_by_dataset);
  }
  part.learn_from = "nonsense";
  part.output = directory_.path() / "other";
  EXPECT_THROW(train_predictor(part), UsageError);
}

TEST_F(Evaluate, ExamplesSayWhichExpertsWereForeseen) {
  const auto traces = make_traces("traces", {.texts_per_dataset = 60});
  EvaluateOptions wanted = options(traces, {"frequency", "statistics", "next-gate"});
  wanted.leads = {scoring::Lead::next_token(), scoring::Lead::layer(2)};
  wanted.examples = 2;
  const stats::Evaluation evaluation = evaluate(wanted);
  ASSERT_FALSE(evaluation.examples.empty());
  EXPECT_LE(evaluation.examples.size(), 4U);
  std::map<uint64_t, RoutedText> test;
  for (RoutedText& text : testing::read_texts(Corpus(traces), {.split = trace::Split::kTest}))
    test.emplace(text.hash, std::move(text));
  for (const stats::ExampleText& example : evaluation.examples) {
    const RoutedText& text = test.at(hash_of(example.text.token_ids));  // None is cut: 24 tokens.
    EXPECT_EQ(example.text.dataset, text.dataset);
    EXPECT_GE(example.text.num_tokens(), 16);
    ASSERT_EQ(example.foresights.size(), evaluation.rows.size());
    for (size_t i = 0; i < evaluation.rows.size(); ++i) {
      const stats::Foresight& foresight = example.foresights[i];
      EXPECT_EQ(foresight.first_layer, scoring::parse_lead(evaluation.rows[i].lead).first_layer());
      ASSERT_EQ(foresight.found.size(), example.text.experts.size());
      if (evaluation.rows[i].predictor != "frequency") continue;
      // One and the same pair of experts at every token of a layer.
      for (int layer = foresight.first_layer; layer < 4; ++layer) {
        std::set<uint16_t> found;
        std::set<uint16_t> missed;
        for (size_t at = static_cast<size_t>(layer) * 2; at < foresight.found.size(); at += 8) {
          for (const size_t rank : {at, at + 1})
            (foresight.found[rank] != 0 ? found : missed).insert(example.text.experts[rank]);
        }
        EXPECT_LE(found.size(), 2U);
        for (const uint16_t expert : found) EXPECT_FALSE(missed.contains(expert));
      }
    }
  }
}

TEST_F(Evaluate, SaysWhatItTakesToRelyOnEach) {
  const auto traces = make_traces("traces", {.texts_per_dataset = 60});
  EvaluateOptions wanted = options(traces, {"random", "frequency", "token-table"});
  wanted.leads = {scoring::Lead::next_token()};
  wanted.budgets = {1, 5};
  wanted.threshold = 0.5;
  const stats::Evaluation evaluation = evaluate(wanted);
  const stats::EvaluationRow& best = evaluation.rows.at(2);
  EXPECT_EQ(best.predictor, "token-table");
  EXPECT_TRUE(best.baseline.empty());
  EXPECT_GT(best.weight_bytes, 0);
  EXPECT_EQ(best.flops, 2 * 4 * 6);  // A row of six numbers at each of four layers.
  EXPECT_TRUE(best.on_front);
  EXPECT_GT(best.at_threshold.value().recall, 0);
  for (const stats::EvaluationRow& row : evaluation.rows) {
    EXPECT_GE(metric(row, "recall@5"), metric(row, "recall@1"));
    ASSERT_EQ(row.experts_for_recall.size(), 3U);
    EXPECT_LE(row.experts_for_recall[0].second, row.experts_for_recall[2].second);
    // Two true experts of six: chance needs all six for 99%.
    if (row.predictor == "random") {
      EXPECT_EQ(row.experts_for_recall[2].second, 6);
    }
    EXPECT_LT(row.calibration_error, 0.1) << row.predictor;
    if (row.baseline.empty()) continue;
    EXPECT_EQ(row.baseline, "token-table");
    EXPECT_NEAR(row.gain.mean, metric(row, "recall@2") - metric(best, "recall@2"), 1e-9);
    EXPECT_LT(row.gain.high, 0);
  }
  wanted.budgets = {7};
  EXPECT_THROW(evaluate(wanted), UsageError);
}

TEST_F(Evaluate, OnceHiddenStatesAreReadEverybodyIsScoredOnTextsThatHaveThem) {
  const auto traces = make_traces("traces", {.texts_per_dataset = 60, .feature_every = 2});
  EvaluateOptions history = options(traces, {"frequency"});
  history.leads = {scoring::Lead::layer(1)};
  EvaluateOptions both = options(traces, {"frequency", "next-gate"});
  both.leads = {scoring::Lead::layer(1)};
  const stats::Evaluation all = evaluate(history);
  const stats::Evaluation some = evaluate(both);
  EXPECT_LT(some.rows[0].whole().texts, all.rows[0].whole().texts);
  EXPECT_EQ(some.rows[0].whole().texts, some.rows[1].whole().texts);
  EXPECT_EQ(some.rows[0].whole().decisions, some.rows[1].whole().decisions);
  // The control is over what has features, whoever is evaluated.
  EXPECT_EQ(all.control_decisions, some.control_decisions);
}

TEST_F(Evaluate, WithoutFeaturesHistoryStillWorks) {
  const auto traces = make_traces("traces", {.features = false});
  const stats::Evaluation evaluation = evaluate(options(traces));
  EXPECT_FALSE(evaluation.has_control);
  EXPECT_EQ(evaluation.rows.size(), 5U + 4U + 4U);
  EXPECT_THAT(error_of<DataError>(options(traces, {"next-gate"})), HasSubstr("--record features"));
}

TEST_F(Evaluate, NamesThatNeedTrainingSayHow) {
  const auto traces = make_traces("traces");
  EXPECT_THAT(error_of<UsageError>(options(traces, {"gate-adapter"})), HasSubstr("foregate train"));
  EXPECT_THAT(error_of<UsageError>(options(traces, {"crystal-ball"})), HasSubstr("token-table"));
  EvaluateOptions wrong_lead = options(traces, {"token-table"});
  wrong_lead.leads = {scoring::Lead::layer(1)};
  EXPECT_THAT(error_of<UsageError>(wrong_lead), HasSubstr("cannot predict at layer-1"));
  EvaluateOptions too_far = options(traces);
  too_far.leads = {scoring::Lead::layer(9)};
  EXPECT_THROW(evaluate(too_far), UsageError);
}

TEST_F(Evaluate, DirectoriesAreScoredOnTheirOwnTestSplit) {
  const auto traces = make_traces("traces");
  const std::string adapter = train(traces, "gate-adapter", scoring::Lead::layer(1));
  const stats::Evaluation evaluation = evaluate(options(traces, {adapter, "token-table"}));
  ASSERT_EQ(evaluation.rows.size(), 2U);
  EXPECT_EQ(evaluation.rows[0].predictor, "token-table");
  EXPECT_EQ(evaluation.rows[1].predictor, adapter);
  EXPECT_EQ(evaluation.rows[1].lead, "layer-1");
}

TEST_F(Evaluate, ADirectoryScoresWhatItsNameDoes) {
  const auto traces = make_traces("traces");
  const std::string table = train(traces, "token-table", scoring::Lead::next_token());
  const stats::Evaluation evaluation = evaluate(options(traces, {table, "token-table"}));
  ASSERT_EQ(evaluation.rows.size(), 2U);
  EXPECT_EQ(metric(evaluation.rows[0], "recall@2"), metric(evaluation.rows[1], "recall@2"));
}

TEST_F(Evaluate, ADirectoryIsCalibratedByWhatItHolds) {
  const auto traces = make_traces("traces");
  const std::string adapter = train(traces, "gate-adapter", scoring::Lead::layer(1));
  const auto error = [&] {
    return evaluate(options(traces, {adapter})).rows.front().calibration_error;
  };
  const double held = error();
  const auto path = std::filesystem::path(adapter) / scoring::kPredictorFile;
  Json json = read_json(path);
  json["calibration"]["offset"] = json["calibration"]["offset"].get<double>() + 2;
  write_json_atomically(path, json);
  EXPECT_GT(error(), held + 0.02);
  // A directory from before calibrations were kept: fitted on the same texts anew.
  json.erase("calibration");
  write_json_atomically(path, json);
  EXPECT_EQ(error(), held);
}

TEST_F(Evaluate, TestTextsOfAnotherTraceMayHaveBeenTrainedOn) {
  const auto traces = make_traces("traces");
  const auto others = make_traces("others", {.seed = 2});
  const std::string adapter = train(traces, "gate-adapter", scoring::Lead::layer(1));
  EvaluateOptions elsewhere = options(others, {adapter});
  EXPECT_THAT(error_of<UsageError>(elsewhere), HasSubstr("--split all"));
  elsewhere.all_texts = true;
  const stats::Evaluation evaluation = evaluate(elsewhere);
  EXPECT_EQ(evaluation.split, "all");
  EXPECT_EQ(evaluation.rows[0].predictor, adapter);  // It saw none of these texts.
}

TEST_F(Evaluate, NumbersThatAreNotHeldOutSaySo) {
  const auto traces = make_traces("traces");
  EvaluateOptions all = options(traces, {"frequency", "next-gate"});
  all.leads = {scoring::Lead::layer(1)};
  all.all_texts = true;
  const stats::Evaluation evaluation = evaluate(all);
  EXPECT_THAT(evaluation.rows[0].title(), HasSubstr("frequency (learned from 36 of 40 texts"));
  EXPECT_EQ(evaluation.rows[1].predictor, "next-gate");
}

TEST_F(Evaluate, AnotherModelOrGeometryIsRefused) {
  const auto traces = make_traces("traces");
  const std::string adapter = train(traces, "gate-adapter", scoring::Lead::layer(1));
  EvaluateOptions other = options(make_traces("wider", {.num_experts = 8}), {adapter});
  EXPECT_THAT(error_of<DataError>(other), HasSubstr("num_experts"));
  other = options(make_traces("cousin", {.model = "cousin"}), {adapter});
  EXPECT_THAT(error_of<DataError>(other), HasSubstr("cousin"));
  other = options(traces, {adapter});
  other.leads = {scoring::Lead::layer(2)};
  EXPECT_THAT(error_of<UsageError>(other), HasSubstr("layer-1"));
}

/// Rewrites the second shard's features with its router inputs changed.
void change_router_inputs(const std::filesystem::path& directory,
                          const std::function<torch::Tensor(torch::Tensor)>& change) {
  const auto path = directory / "part-00001.features.safetensors";
  std::vector<std::pair<std::string, torch::Tensor>> tensors;
  {
    const tensor::SafetensorsFile file(path);
    for (const tensor::TensorEntry& entry : file.entries()) {
      const torch::Tensor tensor = file.tensor(entry.name).clone();
      tensors.emplace_back(entry.name,
                           entry.name == trace::features::kRouterInputs ? change(tensor) : tensor);
    }
  }
  tensor::write_safetensors(path, tensors);
}

TEST_F(Evaluate, TheControlFindsOneChangedValue) {
  const auto traces = make_traces("traces");
  // Of a token of the last text, which is evaluated below with all others.
  change_router_inputs(traces, [](torch::Tensor inputs) {
    inputs[-1][2][5] += 100;
    return inputs;
  });
  EvaluateOptions all = options(traces, {"frequency"});
  all.all_texts = true;
  const std::string error = error_of<DataError>(all);
  EXPECT_THAT(error, HasSubstr("own-router control failed: 1 of"));
  EXPECT_THAT(error, HasSubstr("MoE layer 2"));
}

TEST_F(Evaluate, TheControlFindsMixedUpRows) {
  const auto traces = make_traces("traces");
  change_router_inputs(traces,
                       [](const torch::Tensor& inputs) { return inputs.flip(0).contiguous(); });
  EXPECT_THAT(error_of<DataError>(options(traces)), HasSubstr("own-router control failed"));
}

TEST_F(Evaluate, TheControlFindsOtherRouters) {
  const auto traces = make_traces("traces");
  EvaluateOptions other = options(traces, {"frequency"});
  nn::Routers routers = *Corpus(traces).routers();
  routers.weight = routers.weight.flip(0).contiguous();
  other.routers = routers;
  EXPECT_THAT(error_of<DataError>(other), HasSubstr("routers of --model are not those"));
  // Where none were recorded, the decisions tell.
  std::filesystem::remove(traces / trace::features::kRoutersFile);
  EXPECT_THAT(error_of<DataError>(other), HasSubstr("own-router control failed"));
}

}  // namespace
}  // namespace foregate::predict
