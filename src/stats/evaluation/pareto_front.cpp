#include "stats/evaluation/pareto_front.h"

#include <algorithm>

namespace foregate::stats {

void mark_fronts(std::vector<EvaluationRow>& rows, int top_k) {
  for (EvaluationRow& row : rows) {
    const double recall = row.recall(top_k);
    row.on_front = std::none_of(rows.begin(), rows.end(), [&](const EvaluationRow& other) {
      if (other.lead != row.lead) return false;
      const double found = other.recall(top_k);
      return (found > recall && other.flops <= row.flops) ||
             (found >= recall && other.flops < row.flops);
    });
  }
}

}  // namespace foregate::stats
