#include "scoring/neural/router_choice.h"

#include <array>
#include <nlohmann/json.hpp>

namespace foregate::scoring {
namespace {

// Keys of a RouterSpec that the choice depends on.
constexpr std::array kChoiceKeys = {"score", "groups", "top_groups", "group_score"};
constexpr const char* kBiases = "biases";

const char* name_of(const RouterBiasSet& biases) {
  if (biases.logit) return biases.choice ? "both" : "logit";
  return biases.choice ? "choice" : "none";
}

}  // namespace

std::vector<std::pair<std::string, std::variant<int64_t, std::string>>> RouterChoice::settings()
    const {
  std::vector<std::pair<std::string, std::variant<int64_t, std::string>>> settings;
  const Json whole = trace::router_spec_to_json(spec);
  for (const char* key : kChoiceKeys) {
    if (whole[key].is_string()) {
      settings.emplace_back(key, whole[key].get<std::string>());
    } else {
      settings.emplace_back(key, whole[key].get<int64_t>());
    }
  }
  settings.emplace_back(kBiases, name_of(biases));
  return settings;
}

std::optional<RouterChoice> read_router_choice(const JsonReader& settings,
                                               const trace::Geometry& geometry) {
  if (!settings.has(kChoiceKeys.front())) return std::nullopt;
  Json whole = trace::router_spec_to_json({});
  for (const char* key : kChoiceKeys) whole[key] = settings.at(key);
  RouterChoice choice{.spec = trace::router_spec_from_json(JsonReader(whole, settings.where()))};
  trace::check_router_spec(choice.spec, geometry.num_experts, geometry.top_k, settings.where());
  const std::string biases = settings.string(kBiases);
  choice.biases = {.logit = biases == "logit" || biases == "both",
                   .choice = biases == "choice" || biases == "both"};
  if (biases != name_of(choice.biases)) settings.fail(kBiases, "none, logit, choice or both");
  return choice;
}

}  // namespace foregate::scoring
