#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "predict/evaluate.h"
#include "predict/routers.h"

namespace foregate {

/// The routers of a checkpoint (a directory, or OWNER/NAME of one that was pulled), or nothing for
/// an empty name (then those recorded with a trace are used).
std::optional<Routers> routers_of_model(const std::string& model);

/// "random, frequency, ...": the predictors there are, for help texts.
std::string predictor_list();

/// Runs an evaluation of `predictors` (names or directories) at `leads` (for the names).
Evaluation run_evaluation(const std::filesystem::path& traces,
                          const std::vector<std::string>& predictors,
                          const std::vector<std::string>& leads, const std::string& split,
                          const std::string& model, uint64_t seed,
                          const std::vector<int>& budgets = {},
                          std::optional<double> threshold = {}, const std::string& held_out = "");

}  // namespace foregate
