#include "predict_options.h"

#include "engine/engine.h"
#include "hub/resolve.h"
#include "predict/registry.h"

namespace foregate {

std::optional<Routers> routers_of_model(const std::string& model) {
  if (model.empty()) return std::nullopt;
  const std::filesystem::path directory =
      hub::find_model(model, {.files = {"config.json"}, .weights = true}, hub::read_environment());
  const RouterWeights weights = Engine(directory, {}).router_weights();
  return Routers{weights.weight, weights.norm_weight, weights.norm_epsilon};
}

std::string predictor_list() {
  std::string list;
  for (const std::string& name : predictor_names()) list += (list.empty() ? "" : ", ") + name;
  return list;
}

Evaluation run_evaluation(const std::filesystem::path& traces,
                          const std::vector<std::string>& predictors,
                          const std::vector<std::string>& leads, const std::string& split,
                          const std::string& model, uint64_t seed, const std::vector<int>& budgets,
                          std::optional<double> threshold, const std::string& held_out) {
  EvaluateOptions options;
  options.traces = traces;
  options.predictors = predictors;
  for (const std::string& lead : leads) options.leads.push_back(parse_lead(lead));
  options.all_texts = split == "all";
  options.routers = routers_of_model(model);
  options.seed = seed;
  options.budgets = budgets;
  options.threshold = threshold;
  options.held_out = held_out;
  options.progress = true;
  return evaluate(options);
}

}  // namespace foregate
