#pragma once

#include <string>

#include "report/page/figure.h"
#include "stats/evaluation/evaluation.h"

namespace foregate::report {

/// Charts of many predictors show the first so many.
inline constexpr size_t kMostPredictors = 12;

// Figures of one evaluation; `suffix` keeps the ids of several apart. All need rows.
Figure recall_by_lead_figure(const stats::Evaluation& evaluation, const std::string& suffix);
Figure recall_by_budget_figure(const stats::Evaluation& evaluation, const std::string& suffix);
Figure recall_by_dataset_figure(const stats::Evaluation& evaluation, const std::string& suffix);
/// Recall against the operations it takes, with the Pareto front.
Figure cost_figure(const stats::Evaluation& evaluation, const std::string& suffix);
/// What stated probabilities come to; only rows with bins.
Figure reliability_figure(const stats::Evaluation& evaluation, const std::string& suffix);
/// What was learned from one dataset, measured on each; needs transfers.
Figure transfer_figure(const stats::Evaluation& evaluation, const std::string& suffix);

}  // namespace foregate::report
