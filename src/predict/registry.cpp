#include "predict/registry.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "base/error.h"
#include "predict/counting/count_tensors.h"
#include "predict/counting/counting_predictor.h"
#include "predict/neural/gate_adapter.h"
#include "predict/neural/gate_mlp.h"
#include "predict/neural/mlp.h"
#include "predict/neural/next_gate.h"
#include "predict/neural/transformer.h"

namespace foregate::predict {
namespace {

template <CountTensors kCount>
std::unique_ptr<Predictor> counted(const char* name, scoring::Lead lead,
                                   const trace::Geometry& geometry,
                                   const JsonReader& /*settings*/) {
  return std::make_unique<CountingPredictor>(name, lead, geometry, kCount);
}

/// kFirst: how often the highest-ranked expert counts when the mixture is fitted.
template <CountTensors kCount, int kFirst>
std::unique_ptr<Predictor> mixed(const char* name, scoring::Lead lead,
                                 const trace::Geometry& geometry, const JsonReader& /*settings*/) {
  return std::make_unique<MixturePredictor>(name, lead, geometry, kCount, kFirst);
}

template <typename Kind>
std::unique_ptr<Predictor> with_settings(const char* name, scoring::Lead lead,
                                         const trace::Geometry& geometry,
                                         const JsonReader& settings) {
  return std::make_unique<Kind>(name, lead, geometry, settings);
}

/// What the scoring core knows of a kind.
const scoring::Kind& core(const char* name) {
  const scoring::Kind* kind = scoring::find_kind(name);
  if (kind == nullptr) throw std::logic_error(fmt::format("no scorer is called {}", name));
  return *kind;
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
  const Settings known = predictor.settings();
  std::vector<std::string> keys;
  for (const auto& [name, value] : known) keys.push_back(name);
  for (const auto& [key, value] : settings.json().items()) {
    if (std::find(keys.begin(), keys.end(), key) != keys.end()) continue;
    if (known.empty()) {
      throw UsageError(
          fmt::format("{}: '{}' is no setting of {}, which has none; leave out --config",
                      settings.where(), key, predictor.name()));
    }
    throw UsageError(fmt::format("{}: '{}' is no setting of {}; expected one of: {}",
                                 settings.where(), key, predictor.name(), fmt::join(keys, ", ")));
  }
}

}  // namespace

const std::vector<PredictorKind>& predictor_kinds() {
  constexpr bool kYes = true;
  constexpr bool kNo = false;
  // More than twice: top-1 is what pattern-based predictors are known by.
  constexpr int kTransitionFirst = 4;
  constexpr int kStatisticsFirst = 2;
  static const std::vector<PredictorKind> kinds = {
      // name, summary; learns, trained; factory, cost
      {core("random"), "chance", kNo, kNo, counted<random_tensors>, no_cost},
      {core("frequency"), "the layer's most chosen experts", kYes, kNo, counted<frequency_tensors>,
       no_cost},
      {core("previous-token"), "the experts of the token before", kYes, kNo,
       counted<frequency_tensors>, previous_token_cost},
      {core("token-table"), "counts by token id", kYes, kNo, counted<token_table_tensors>,
       token_table_cost},
      {core("transition"), "co-activation with earlier layers' experts", kYes, kNo,
       mixed<transition_tensors, kTransitionFirst>, transition_cost},
      {core("statistics"), "a fitted mixture of all counts", kYes, kNo,
       mixed<statistics_tensors, kStatisticsFirst>, statistics_cost},
      {core("transformer"), "a trained sequence model of ids and routing", kYes, kYes,
       with_settings<TransformerPredictor>, transformer_cost},
      {core("next-gate"), "the target layer's router on the state at hand", kNo, kNo,
       with_settings<NextGatePredictor>, dense_cost},
      {core("gate-adapter"), "next-gate with a trained correction", kYes, kYes,
       with_settings<GateAdapterPredictor>, dense_cost},
      {core("gate-mlp"),
       "next-gate with a trained network on state, ids and earlier tokens' experts", kYes, kYes,
       with_settings<GateMlpPredictor>, dense_cost},
      {core("mlp"), "a trained network on the hidden state", kYes, kYes,
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
