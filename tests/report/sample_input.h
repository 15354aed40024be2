#pragma once

#include <string>
#include <vector>

#include "report/report.h"

namespace foregate::report {

struct SampleShape {
  int layers = 3;
  int experts = 8;
  int top_k = 2;
  int texts = 12;
  int tokens = 9;  ///< a text
  std::vector<std::string> datasets = {"news", "reviews"};
};

/// A report of random routing, skewed to low expert indices, without an evaluation.
ReportInput sample_input(const SampleShape& shape);

/// Ten predictors at four leads with all that an evaluation can have.
stats::Evaluation large_evaluation(const SampleShape& shape);
/// Two predictors at two leads; "good" is the better at both.
stats::Evaluation sample_evaluation(const SampleShape& shape);

/// Two records of three random texts.
stats::TraceAgreement sample_agreement(const SampleShape& shape);

/// Two policies and two predictors at three sizes, the first of which no cache has.
Simulation sample_simulation();

}  // namespace foregate::report
