#pragma once

#include <string>
#include <utility>
#include <vector>

#include "report/figure.h"
#include "stats/evaluation.h"

namespace foregate {

using EvaluationRows = std::vector<const EvaluationRow*>;

/// The rows by lead, both in the evaluation's order.
std::vector<std::pair<std::string, EvaluationRows>> rows_by_lead(const Evaluation& evaluation);

/// A metric of a row; null if it was not measured.
const Interval* metric_of(const EvaluationRow& row, const std::string& name);

// Figures of one evaluation; `suffix` keeps the ids of several apart. All need rows.
Figure recall_by_lead_figure(const Evaluation& evaluation, const std::string& suffix);
Figure recall_by_budget_figure(const Evaluation& evaluation, const std::string& suffix);
Figure recall_by_dataset_figure(const Evaluation& evaluation, const std::string& suffix);

}  // namespace foregate
