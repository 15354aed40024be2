#pragma once

#include <string>
#include <vector>

#include "stats/evaluation/evaluation.h"

namespace foregate::stats {

// What both tables of an evaluation are made of.

/// "25.4 [25.0, 26.0]", percent; without an interval if it is from less than two texts.
std::string percent_cell(const Interval& interval, int64_t texts);
/// "+1.0 [-2.0, +4.0]", points; the same.
std::string gain_cell(const EvaluationRow& row);
/// What is evaluated, and whether the own-router control holds: two or three lines.
std::string evaluation_heading(const Evaluation& evaluation);
/// Recall of prompt and of generated tokens side by side; empty if no text has both. Predictors'
/// names are cut to so many columns; 0: never.
std::string phase_table(const Evaluation& evaluation, size_t name_columns);
/// How far each predictor carries: recall at what it was measured on across, what it learned from
/// down. Names of datasets are cut so that about so many columns are enough; 0: never.
std::string transfer_tables(const Evaluation& evaluation, size_t columns);

}  // namespace foregate::stats
