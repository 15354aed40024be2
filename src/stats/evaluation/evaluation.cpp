#include "stats/evaluation/evaluation.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/number_text.h"

namespace foregate::stats {

double EvaluationRow::recall(int budget) const {
  const Interval* value = whole().metrics.find(recall_at(budget));
  return value == nullptr ? 0 : value->mean;
}

std::vector<std::pair<Part, double>> EvaluationRow::recalls(Part::By by, int budget) const {
  std::vector<std::pair<Part, double>> found;
  for (const Slice& slice : slices) {
    if (slice.part.by != by) continue;
    const Interval* value = slice.metrics.find(recall_at(budget));
    if (value != nullptr) found.emplace_back(slice.part, value->mean);
  }
  return found;
}

std::map<std::string, double> EvaluationRow::recall_by_dataset(int budget) const {
  std::map<std::string, double> found;
  for (const auto& [part, recall] : recalls(Part::By::kDataset, budget)) {
    found[part.name] = recall;
  }
  return found;
}

std::string EvaluationRow::title() const {
  std::string title = predictor;
  if (learned_texts > 0) {
    title += fmt::format(" (learned from {} of {})", with_commas(learned_texts),
                         number_of(whole().texts, "text"));
  }
  if (kept_start) title += " (kept its start)";
  return title;
}

std::string TransferRow::title() const {
  return learned_from.empty() ? "all" : learned_from;
}

std::vector<std::pair<std::string, EvaluationRows>> Evaluation::rows_by_lead() const {
  std::vector<std::pair<std::string, EvaluationRows>> groups;
  for (const EvaluationRow& row : rows) {
    auto group = std::find_if(groups.begin(), groups.end(),
                              [&](const auto& entry) { return entry.first == row.lead; });
    if (group == groups.end()) group = groups.insert(group, {row.lead, {}});
    group->second.push_back(&row);
  }
  return groups;
}

std::vector<std::vector<const TransferRow*>> Evaluation::transfer_matrices() const {
  std::vector<std::vector<const TransferRow*>> matrices;
  for (const TransferRow& row : transfers) {
    const bool same = !matrices.empty() && matrices.back()[0]->predictor == row.predictor &&
                      matrices.back()[0]->lead == row.lead;
    if (!same) matrices.emplace_back();
    matrices.back().push_back(&row);
  }
  return matrices;
}

}  // namespace foregate::stats
