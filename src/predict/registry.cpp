#include "predict/registry.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "predict/counting/frequency.h"
#include "predict/counting/previous_token.h"
#include "predict/counting/random.h"
#include "predict/counting/statistics.h"
#include "predict/counting/token_table.h"
#include "predict/counting/transition.h"
#include "predict/neural/gate_adapter.h"
#include "predict/neural/gate_mlp.h"
#include "predict/neural/mlp.h"
#include "predict/neural/next_gate.h"
#include "predict/neural/transformer.h"

namespace foregate::predict {
namespace {

template <typename Kind>
std::unique_ptr<Predictor> plain(const char* name, scoring::Lead lead,
                                 const trace::Geometry& geometry, const JsonReader& /*settings*/) {
  return std::make_unique<Kind>(name, lead, geometry);
}

template <typename Kind>
std::unique_ptr<Predictor> with_settings(const char* name, scoring::Lead lead,
                                         const trace::Geometry& geometry,
                                         const JsonReader& settings) {
  return std::make_unique<Kind>(name, lead, geometry, settings);
}

std::string leads_of(const PredictorKind& kind) {
  std::vector<std::string> leads;
  if (kind.next_token) leads.emplace_back("next-token");
  if (kind.layer) leads.emplace_back("layer-H");
  if (kind.pre_attention) leads.emplace_back("pre-attention");
  return fmt::format("{}", fmt::join(leads, ", "));
}

/// What is written in a settings file must mean something.
void require_known_settings(const Predictor& predictor, const JsonReader& settings) {
  const Json known = predictor.settings();
  for (const auto& [key, value] : settings.json().items()) {
    if (known.contains(key)) continue;
    if (known.empty()) {
      throw UsageError(
          fmt::format("{}: '{}' is no setting of {}, which has none; leave out --config",
                      settings.where(), key, predictor.name()));
    }
    std::vector<std::string> keys;
    for (const auto& [name, ignored] : known.items()) keys.push_back(name);
    throw UsageError(fmt::format("{}: '{}' is no setting of {}; expected one of: {}",
                                 settings.where(), key, predictor.name(), fmt::join(keys, ", ")));
  }
}

}  // namespace

bool PredictorKind::supports(const scoring::Lead& lead) const {
  switch (lead.kind) {
    case scoring::Lead::Kind::kNextToken:
      return next_token;
    case scoring::Lead::Kind::kLayer:
      return layer;
    case scoring::Lead::Kind::kPreAttention:
      break;
  }
  return pre_attention;
}

const std::vector<PredictorKind>& predictor_kinds() {
  constexpr bool kYes = true;
  constexpr bool kNo = false;
  static const std::vector<PredictorKind> kinds = {
      // name, summary; next-token, layer-h, pre-attention; features, learns, trained; factory, cost
      {"random", "chance", kYes, kYes, kYes, kNo, kNo, kNo, plain<RandomPredictor>, no_cost},
      {"frequency", "the layer's most chosen experts", kYes, kYes, kYes, kNo, kYes, kNo,
       plain<FrequencyPredictor>, no_cost},
      {"previous-token", "the experts of the token before", kYes, kNo, kNo, kNo, kYes, kNo,
       plain<PreviousTokenPredictor>, previous_token_cost},
      {"token-table", "counts by token id", kYes, kNo, kNo, kNo, kYes, kNo,
       plain<TokenTablePredictor>, token_table_cost},
      {"transition", "co-activation with earlier layers' experts", kNo, kYes, kNo, kNo, kYes, kNo,
       plain<TransitionPredictor>, transition_cost},
      {"statistics", "a fitted mixture of all counts", kYes, kYes, kNo, kNo, kYes, kNo,
       plain<StatisticsPredictor>, statistics_cost},
      {"transformer", "a trained sequence model of ids and routing", kYes, kYes, kNo, kNo, kYes,
       kYes, with_settings<TransformerPredictor>, transformer_cost},
      {"next-gate", "the target layer's router on the state at hand", kNo, kYes, kYes, kYes, kNo,
       kNo, plain<NextGatePredictor>, dense_cost},
      {"gate-adapter", "next-gate with a trained correction", kNo, kYes, kYes, kYes, kYes, kYes,
       with_settings<GateAdapterPredictor>, dense_cost},
      {"gate-mlp", "next-gate with a trained network on state, ids and earlier tokens' experts",
       kNo, kYes, kYes, kYes, kYes, kYes, with_settings<GateMlpPredictor>, dense_cost},
      {"mlp", "a trained network on the hidden state", kNo, kYes, kYes, kYes, kYes, kYes,
       with_settings<MlpPredictor>, dense_cost},
  };
  return kinds;
}

std::vector<std::string> predictor_names() {
  std::vector<std::string> names;
  for (const PredictorKind& kind : predictor_kinds()) names.emplace_back(kind.name);
  return names;
}

const PredictorKind* find_predictor_kind(const std::string& name) {
  const auto& kinds = predictor_kinds();
  const auto found = std::find_if(kinds.begin(), kinds.end(),
                                  [&](const PredictorKind& kind) { return kind.name == name; });
  return found == kinds.end() ? nullptr : &*found;
}

std::unique_ptr<Predictor> make_predictor(const std::string& name, const scoring::Lead& lead,
                                          const trace::Geometry& geometry,
                                          const JsonReader& settings) {
  const PredictorKind* kind = find_predictor_kind(name);
  if (kind == nullptr) {
    throw UsageError(fmt::format("predictor '{}' is not known; expected one of: {}", name,
                                 fmt::join(predictor_names(), ", ")));
  }
  if (!kind->supports(lead)) {
    throw UsageError(fmt::format("{} cannot predict at {}; it can at: {}", name,
                                 scoring::lead_name(lead), leads_of(*kind)));
  }
  scoring::require_lead_fits(lead, geometry);
  auto predictor = kind->make(kind->name, lead, geometry, settings);
  require_known_settings(*predictor, settings);
  return predictor;
}

std::unique_ptr<Predictor> make_predictor(const std::string& name, const scoring::Lead& lead,
                                          const trace::Geometry& geometry) {
  const Json none = Json::object();
  return make_predictor(name, lead, geometry, JsonReader(none, "default settings"));
}

}  // namespace foregate::predict
