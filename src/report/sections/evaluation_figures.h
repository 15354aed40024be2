#pragma once

#include <string>
#include <utility>
#include <vector>

#include "report/page/figure.h"
#include "stats/evaluation.h"

namespace foregate::report {

using EvaluationRows = std::vector<const stats::EvaluationRow*>;

/// The rows by lead, both in the evaluation's order.
std::vector<std::pair<std::string, EvaluationRows>> rows_by_lead(
    const stats::Evaluation& evaluation);

/// Charts of many predictors show the first so many.
inline constexpr size_t kMostPredictors = 12;

/// A metric of a row; null if it was not measured.
const stats::Interval* metric_of(const stats::EvaluationRow& row, const std::string& name);

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
