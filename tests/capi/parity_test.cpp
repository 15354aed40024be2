// The C functions against the predictors of src/predict, for every predictor at every lead, over
// all tokens and layers of some texts.
#include <foregate/predictor.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "handles.h"
#include "predict/calibration.h"
#include "predict/counting/routing_counts.h"
#include "predict/fit_inputs.h"
#include "predict/neural/state_rows.h"
#include "predict/predictor_store.h"
#include "predict/registry.h"
#include "predict/texts/routed_text.h"
#include "predict/texts/routed_texts.h"
#include "support/synthetic_trace.h"
#include "support/temporary_folder.h"

namespace foregate::capi {
namespace {

using testing::load;
using testing::new_sequence;
using testing::PredictorHandle;
using testing::SequenceHandle;
using testing::TemporaryFolder;

struct Case {
  std::string predictor;
  std::string lead;
  int num_experts;

  friend std::ostream& operator<<(std::ostream& out, const Case& one) {
    return out << one.predictor << " at " << one.lead << ", " << one.num_experts << " experts";
  }
};

std::vector<Case> every_case() {
  std::vector<Case> cases;
  for (const predict::PredictorKind& kind : predict::predictor_kinds()) {
    for (const char* lead : {"next-token", "layer-1", "layer-2", "layer-3", "pre-attention"}) {
      if (!kind.supports(scoring::parse_lead(lead))) continue;
      for (const int experts : {6, 33}) cases.push_back({kind.name, lead, experts});
    }
  }
  return cases;
}

/// A trace with what its training split counts, made once for all predictors.
struct Fitted {
  explicit Fitted(int num_experts) {
    testing::write_synthetic_trace(directory.path(), {.num_experts = num_experts});
    corpus = std::make_unique<predict::Corpus>(directory.path());
    counts = std::make_unique<predict::SharedCounts>(*corpus);
  }
  TemporaryFolder directory;
  std::unique_ptr<predict::Corpus> corpus;
  std::unique_ptr<predict::SharedCounts> counts;
};

class CAndCpp : public ::testing::TestWithParam<Case> {
 protected:
  static void TearDownTestSuite() { fitted_.clear(); }

  static Fitted& inputs() {
    auto& fitted = fitted_[GetParam().num_experts];
    if (!fitted) fitted = std::make_unique<Fitted>(GetParam().num_experts);
    return *fitted;
  }

  static std::unique_ptr<predict::Predictor> trained() {
    const scoring::Lead lead = scoring::parse_lead(GetParam().lead);
    const trace::Geometry& geometry = inputs().corpus->geometry();
    Json settings = predict::settings_to_json(
        predict::make_predictor(GetParam().predictor, lead, geometry)->settings());
    if (settings.contains("steps")) settings["steps"] = 20;
    if (settings.contains("batch_tokens")) settings["batch_tokens"] = 64;
    for (const char* size : {"width", "rank", "embedding"}) {
      if (settings.contains(size)) settings[size] = 19;
    }
    if (settings.contains("heads")) {  // a transformer: windows end within the texts
      settings.update({{"width", 24}, {"blocks", 2}, {"context", 7}, {"layers_back", 2}});
    }
    auto predictor =
        predict::make_predictor(GetParam().predictor, lead, geometry, JsonReader(settings, "test"));
    predictor->fit({*inputs().corpus, *inputs().counts, {}});
    return predictor;
  }

  static std::map<int, std::unique_ptr<Fitted>> fitted_;
};

std::map<int, std::unique_ptr<Fitted>> CAndCpp::fitted_;

struct Predicted {
  torch::Tensor scores;         // [n, L', E]
  torch::Tensor probabilities;  // [n, L', E]
};

/// Tells a sequence about a text as an engine would, layer by layer, and gathers what is predicted.
Predicted predicted_through_c(const PredictorHandle& predictor, const predict::Predictor& reference,
                              const predict::RoutedText& text) {
  const SequenceHandle sequence = new_sequence(predictor);
  foregate_sequence* batch[] = {sequence.get()};
  const trace::Geometry& geometry = reference.geometry();
  const int distance = reference.first_layer();
  torch::Tensor scores =
      torch::empty({text.num_tokens(), reference.num_layers(), geometry.num_experts});
  torch::Tensor probabilities = torch::empty_like(scores);
  const torch::Tensor ids = text.token_ids.contiguous();
  const torch::Tensor experts = text.experts.to(torch::kInt32).contiguous();
  const torch::Tensor states = predict::visible_states(text, reference.lead()).contiguous();
  const foregate_dtype dtype =
      states.scalar_type() == torch::kBFloat16 ? FOREGATE_BFLOAT16 : FOREGATE_FLOAT32;
  const auto size = static_cast<size_t>(geometry.hidden_size);
  for (int64_t t = 0; t < text.num_tokens(); ++t) {
    const auto id = static_cast<int32_t>(ids[t].item<int64_t>());
    EXPECT_EQ(foregate_sequence_token(sequence.get(), id), FOREGATE_OK);
    for (int32_t l = 0; l < geometry.num_moe_layers; ++l) {
      // Of layer l - H it is known what its router saw and decided; before the attention of l also
      // the residual stream.
      const int32_t shown = l - distance;
      if (shown >= 0) {
        EXPECT_EQ(foregate_sequence_state(sequence.get(), shown, states[t][shown].const_data_ptr(),
                                          dtype, size),
                  FOREGATE_OK);
        EXPECT_EQ(
            foregate_predict_scores(batch, 1, l, scores[t][l - distance].mutable_data_ptr<float>()),
            FOREGATE_OK)
            << foregate_last_error();
        EXPECT_EQ(foregate_predict_probabilities(
                      batch, 1, l, probabilities[t][l - distance].mutable_data_ptr<float>()),
                  FOREGATE_OK)
            << foregate_last_error();
      }
      EXPECT_EQ(
          foregate_sequence_routing(sequence.get(), l, experts[t][l].const_data_ptr<int32_t>(),
                                    static_cast<size_t>(geometry.top_k)),
          FOREGATE_OK);
    }
  }
  return {scores, probabilities};
}

TEST_P(CAndCpp, ScoreAlike) {
  const TemporaryFolder directory;
  const auto predictor = trained();
  predict::PredictorInfo info;
  info.name = GetParam().predictor;
  info.lead = predictor->lead();
  info.geometry = predictor->geometry();
  info.settings = predictor->settings();
  info.calibration = predict::fit_calibrations({predictor.get()}, *inputs().corpus).front();
  ASSERT_TRUE(info.calibration.has_value());
  predict::save_predictor(directory.path(), *predictor, info, {});
  const PredictorHandle loaded = load(directory.path());
  ASSERT_NE(loaded, nullptr);

  using Features = predict::TextSelection::Features;
  int64_t decisions = 0;
  for (const predict::RoutedText& text :
       testing::read_texts(*inputs().corpus, {.split = {}, .features = Features::kRequire})) {
    const torch::Tensor expected = predictor->score(text);
    const auto [found, probabilities] = predicted_through_c(loaded, *predictor, text);
    ASSERT_TRUE(torch::allclose(found, expected, 1e-5, 1e-5))
        << (found - expected).abs().max().item<float>();
    const torch::Tensor calibrated_scores = predict::calibrated(*info.calibration, found);
    ASSERT_LT((probabilities - calibrated_scores).abs().max().item<float>(), 1e-6);
    // In the order that the C functions rank them, the reference's scores fall, but for rounding.
    const torch::Tensor ranks = std::get<1>(found.sort(true, -1, true));
    ASSERT_LT(expected.gather(-1, ranks).diff(1, -1).max().item<float>(), 1e-5);
    decisions += text.num_tokens() * predictor->num_layers();
  }
  EXPECT_GT(decisions, 400);
}

INSTANTIATE_TEST_SUITE_P(All, CAndCpp, ::testing::ValuesIn(every_case()), [](const auto& test) {
  std::string name =
      test.param.predictor + "_" + test.param.lead + "_" + std::to_string(test.param.num_experts);
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

}  // namespace
}  // namespace foregate::capi
