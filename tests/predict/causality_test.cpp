// Nothing later than the lead may touch a score: the future is changed, the scores must stay. And
// what every predictor has in common: saving and loading, odd texts.
#include <gtest/gtest.h>
#include <torch/types.h>

#include <nlohmann/json.hpp>

#include "base/json.h"
#include "predict/counting/routing_counts.h"
#include "predict/fit_inputs.h"
#include "predict/predictor_store.h"
#include "predict/registry.h"
#include "predict/texts/routed_text.h"
#include "predict/texts/routed_texts.h"
#include "support/synthetic_trace.h"
#include "support/temporary_folder.h"

namespace foregate::predict {
namespace {

using testing::TemporaryFolder;

struct Case {
  std::string name;
  scoring::Lead lead;
};

std::vector<Case> every_predictor_and_lead() {
  std::vector<Case> cases;
  for (const PredictorKind& kind : predictor_kinds()) {
    for (const char* lead : {"next-token", "layer-1", "layer-3", "pre-attention"}) {
      if (kind.supports(scoring::parse_lead(lead)))
        cases.push_back({kind.name, scoring::parse_lead(lead)});
    }
  }
  return cases;
}

class EveryPredictor : public ::testing::TestWithParam<Case> {
 protected:
  static void SetUpTestSuite() {
    directory_ = std::make_unique<TemporaryFolder>();
    testing::write_synthetic_trace(directory_->path());
    corpus_ = std::make_unique<Corpus>(directory_->path());
    counts_ = std::make_unique<SharedCounts>(*corpus_);
  }
  static void TearDownTestSuite() {
    counts_.reset();
    corpus_.reset();
    directory_.reset();
  }

  static std::unique_ptr<Predictor> fitted() {
    const Case& param = GetParam();
    Json settings =
        settings_to_json(make_predictor(param.name, param.lead, corpus_->geometry())->settings());
    if (settings.contains("steps")) settings["steps"] = 8;
    if (settings.contains("batch_tokens")) settings["batch_tokens"] = 64;
    if (settings.contains("width")) settings["width"] = 16;
    if (settings.contains("context")) settings["context"] = 6;
    auto predictor =
        make_predictor(param.name, param.lead, corpus_->geometry(), JsonReader(settings, "test"));
    predictor->fit({*corpus_, *counts_, {}});
    return predictor;
  }

  static RoutedText a_text() {
    using Features = TextSelection::Features;
    for (const RoutedText& text : testing::read_texts(
             *corpus_, {.split = trace::Split::kTest, .features = Features::kRequire})) {
      if (text.num_tokens() >= 6) return text;
    }
    throw std::logic_error("the synthetic trace has no long test text");
  }

  static std::unique_ptr<TemporaryFolder> directory_;
  static std::unique_ptr<Corpus> corpus_;
  static std::unique_ptr<SharedCounts> counts_;
};

std::unique_ptr<TemporaryFolder> EveryPredictor::directory_;
std::unique_ptr<Corpus> EveryPredictor::corpus_;
std::unique_ptr<SharedCounts> EveryPredictor::counts_;

/// A copy in which everything that must not be seen when (token, layer) is predicted is different.
RoutedText change_the_future(const RoutedText& text, const scoring::Lead& lead, int64_t token,
                             int64_t layer, int64_t num_experts) {
  RoutedText changed = text;
  const auto spoil_experts = [&](torch::Tensor experts) {
    experts.copy_((experts + 1).remainder(num_experts));
  };
  const auto spoil_states = [](torch::Tensor states) { states.copy_(states.neg() * 3 + 1); };
  changed.token_ids = text.token_ids.clone();
  changed.experts = text.experts.clone();
  changed.gate_weights = torch::Tensor();
  changed.router_inputs = text.router_inputs.clone();
  changed.residual = text.residual.clone();
  changed.token_ids.slice(0, token + 1).add_(1).remainder_(20);
  for (auto* states : {&changed.router_inputs, &changed.residual}) {
    spoil_states(states->slice(0, token + 1));
  }
  spoil_experts(changed.experts.slice(0, token + 1));
  // Of the token itself, layers from here on are unknown.
  int64_t inputs = 0;
  int64_t residual = 0;
  int64_t experts = 0;
  if (lead.kind == scoring::Lead::Kind::kLayer) {
    experts = inputs = residual = layer - lead.distance + 1;
  } else if (lead.kind == scoring::Lead::Kind::kPreAttention) {
    experts = inputs = layer;
    residual = layer + 1;
  }
  spoil_experts(changed.experts[token].slice(0, experts));
  spoil_states(changed.router_inputs[token].slice(0, inputs));
  spoil_states(changed.residual[token].slice(0, residual));
  return changed;
}

TEST_P(EveryPredictor, DoesNotSeeTheFuture) {
  const auto predictor = fitted();
  const RoutedText text = a_text();
  const torch::Tensor scores = predictor->score(text);
  for (int64_t t = 0; t < text.num_tokens(); ++t) {
    for (int64_t l = predictor->first_layer(); l < corpus_->geometry().num_moe_layers; ++l) {
      const RoutedText changed =
          change_the_future(text, predictor->lead(), t, l, corpus_->geometry().num_experts);
      const int64_t row = l - predictor->first_layer();
      EXPECT_TRUE(predictor->score(changed)[t][row].equal(scores[t][row]))
          << "token " << t << ", layer " << l;
    }
  }
}

TEST_P(EveryPredictor, ScoresEveryExpertOfEveryPredictableLayer) {
  const auto predictor = fitted();
  const RoutedText text = a_text();
  const torch::Tensor scores = predictor->score(text);
  const int64_t layers = corpus_->geometry().num_moe_layers - GetParam().lead.first_layer();
  EXPECT_EQ(scores.sizes(), at::IntArrayRef({text.num_tokens(), layers, 6}));
  EXPECT_EQ(scores.scalar_type(), torch::kFloat32);
  EXPECT_TRUE(scores.isfinite().all().item<bool>());

  RoutedText first = text;
  for (auto* tensor : {&first.token_ids, &first.experts, &first.router_inputs, &first.residual}) {
    *tensor = tensor->slice(0, 0, 1);
  }
  const torch::Tensor alone = predictor->score(first);
  ASSERT_EQ(alone.size(0), 1);
  EXPECT_TRUE(alone[0].allclose(scores[0], 1e-5, 1e-5));
}

TEST_P(EveryPredictor, IsTheSameAfterSavingAndLoading) {
  const auto predictor = fitted();
  const TemporaryFolder output;
  PredictorInfo info;
  info.name = predictor->name();
  info.lead = predictor->lead();
  info.geometry = predictor->geometry();
  info.settings = predictor->settings();
  info.model = "synthetic";
  info.validation = {{"recall@2", 0.5}};
  info.calibration = scoring::Calibration{0.7, -0.4, 1.0 / 3};
  save_predictor(output.path(), *predictor, info, {1, UINT64_MAX});
  const StoredPredictor loaded = load_predictor(output.path());
  EXPECT_TRUE(loaded.predictor->score(a_text()).equal(predictor->score(a_text())));
  EXPECT_EQ(loaded.info.to_json(), info.to_json());
  EXPECT_EQ(loaded.seen_texts, (std::unordered_set<uint64_t>{1, UINT64_MAX}));
  EXPECT_TRUE(describe_predictor(output.path()).contains("tensors"));
}

INSTANTIATE_TEST_SUITE_P(Kinds, EveryPredictor, ::testing::ValuesIn(every_predictor_and_lead()),
                         [](const auto& each) {
                           std::string name =
                               each.param.name + "_" + scoring::lead_name(each.param.lead);
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace foregate::predict
