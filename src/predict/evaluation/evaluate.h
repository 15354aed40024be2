#pragma once

#include <torch/types.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/run_context.h"
#include "nn/routers.h"
#include "scoring/lead.h"
#include "stats/evaluation/evaluation.h"

namespace foregate::predict {

struct EvaluateOptions {
  std::filesystem::path traces;
  std::vector<std::string> predictors;  ///< names or directories; empty: all that need no training
  std::vector<scoring::Lead> leads;     ///< for names; empty: all that make sense for the trace
  std::vector<int> budgets;             ///< m of recall@m and so on, beside k and 2k
  std::optional<double> threshold;      ///< see EvaluationRow::at_threshold
  std::string held_out;                 ///< dataset that is the test; empty: the usual split
  bool cross_domain = false;            ///< also measure_transfers() (cross_domain.h)
  int64_t examples = 0;                 ///< texts of each dataset to keep as Evaluation::examples
  bool all_texts = false;               ///< every text instead of the test split
  std::optional<nn::Routers> routers;   ///< the model's own; empty: those recorded with the trace
  torch::Device device = torch::kCPU;   ///< that neural predictors run on
  uint64_t seed = 0;
};

/// Evaluates predictors and the own-router control on the same texts: those of the split, or, as
/// soon as one predictor reads hidden states, those of them that have hidden states. Predictors
/// given by name are fitted on the training split first.
///
/// Throws UsageError (a name that needs `foregate train`, a lead that does not fit, a predictor of
/// another trace on the test split), DataError (wrong model or geometry, no features where they are
/// needed, a control below 100%), EnvironmentError or InterruptedError.
stats::Evaluation evaluate(const EvaluateOptions& options, const RunContext& run = silent_run());

}  // namespace foregate::predict
