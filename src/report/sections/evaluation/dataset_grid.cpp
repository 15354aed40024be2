#include "report/sections/evaluation/dataset_grid.h"

#include <cmath>
#include <set>

namespace foregate::report {
namespace {

constexpr int kDatasetWidth = 14;  // characters of a label

}  // namespace

void fill_by_dataset(const std::vector<DatasetRecalls>& rows, HeatMap& map, Table& table) {
  std::set<std::string> datasets;
  for (const auto& [title, recalls] : rows) {
    for (const auto& [dataset, recall] : recalls) datasets.insert(dataset);
  }
  for (const std::string& dataset : datasets) {
    map.column_labels.push_back(shorten(dataset, kDatasetWidth));
    table.columns.push_back({dataset, Unit::kPercent});
  }
  for (const auto& [title, recalls] : rows) {
    map.row_labels.push_back(title);
    table.rows.push_back({title});
    for (const std::string& dataset : datasets) {
      const auto recall = recalls.find(dataset);
      map.values.push_back(recall == recalls.end() ? std::nan("") : recall->second);
      table.rows.back().emplace_back(map.values.back());
    }
  }
}

}  // namespace foregate::report
