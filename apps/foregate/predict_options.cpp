#include "predict_options.h"

#include "engine/engine.h"
#include "predict/registry.h"

namespace foregate {

std::optional<Routers> routers_of_model(const std::filesystem::path& model) {
  if (model.empty()) return std::nullopt;
  const RouterWeights weights = Engine(model, {}).router_weights();
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
                          const std::filesystem::path& model, uint64_t seed,
                          const std::vector<int>& budgets, std::optional<double> threshold,
                          const std::string& held_out) {
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
