#include "predict/runs/sweep.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "base/stopwatch.h"
#include "predict/predictor_store.h"
#include "predict/registry.h"
#include "predict/texts/corpus.h"

namespace foregate::predict {
namespace {

constexpr size_t kMostPoints = 1000;
constexpr const char* kConfigFile = "config.json";

/// Settings are numbers, yes or no, or plain names; they become names of folders.
bool is_setting(const Json& value) {
  if (!value.is_string()) return value.is_number() || value.is_boolean();
  const auto name = value.get<std::string>();
  return !name.empty() && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-';
  });
}

std::string text_of(const Json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

/// All combinations of the lists' values; keys in the file's order.
std::vector<Json> points_of(const Json& grid, const std::string& where) {
  std::vector<Json> points = {Json::object()};
  for (const auto& [key, value] : grid.items()) {
    const Json values = value.is_array() ? value : Json::array({value});
    if (values.empty()) throw UsageError(fmt::format("{}: '{}' lists no value", where, key));
    for (const Json& each : values) {
      if (is_setting(each)) continue;
      throw UsageError(fmt::format("{}: '{}' is {}; expected a number or a name, or a list of them",
                                   where, key, each.dump()));
    }
    std::vector<Json> longer;
    for (const Json& point : points) {
      for (const Json& each : values) {
        Json next = point;
        next[key] = each;
        longer.push_back(std::move(next));
      }
    }
    if (longer.size() > kMostPoints) {
      throw UsageError(fmt::format("{}: more than {} combinations; take fewer values at a time",
                                   where, kMostPoints));
    }
    points = std::move(longer);
  }
  return points;
}

/// What distinguishes a point from others of the grid; all of it if nothing varies.
std::string label_of(const Json& point, const Json& grid) {
  std::string label;
  const bool varies =
      std::any_of(grid.begin(), grid.end(), [](const Json& value) { return value.is_array(); });
  for (const auto& [key, value] : point.items()) {
    if (varies && !grid[key].is_array()) continue;
    label += fmt::format("{}{}={}", label.empty() ? "" : ",", key, text_of(value));
  }
  return label.empty() ? "defaults" : label;
}

/// Writes the point's settings, unless they are of a predictor that is there already.
void keep_settings(const Json& point, const fs::path& output, const fs::path& config) {
  make_output_directory(output);
  if (!is_predictor_directory(output)) {
    write_json_atomically(config, point);
    return;
  }
  if (fs::exists(config) && read_json(config) == point) return;
  throw UsageError(
      fmt::format("{} already holds a predictor, made with other settings; choose another --output",
                  output.string()));
}

/// The first metric: recall@k.
double recall_of(const SweepRow& row) {
  const auto& metrics = row.summary.info.validation;
  return metrics.empty() ? 0 : metrics.front().second;
}

}  // namespace

std::vector<SweepRow> sweep(const TrainOptions& options, const std::filesystem::path& grid_file,
                            const RunContext& run) {
  const Json grid = read_json(grid_file);
  const JsonReader reader(grid, grid_file.string());
  const std::vector<Json> points = points_of(reader.json(), reader.where());
  // What is wrong with a point is better found before the first training than before the last.
  const Corpus corpus(options.traces, options.held_out, run.stop);
  for (const Json& point : points) {
    const JsonReader settings(point, reader.where());
    require_inputs(*make_predictor(options.predictor, options.lead, corpus.geometry(), settings),
                   corpus);
  }
  std::vector<SweepRow> rows;
  for (const Json& point : points) {
    SweepRow row{.settings = label_of(point, grid), .summary = {}};
    TrainOptions single = options;
    single.output = options.output / row.settings;
    single.config = single.output / kConfigFile;
    if (!options.tensorboard.empty()) single.tensorboard = options.tensorboard / row.settings;
    run.log.info("{} of {}: {}", rows.size() + 1, points.size(), row.settings);
    keep_settings(point, single.output, single.config);
    Stopwatch clock;
    clock.start();
    row.summary = train_predictor(single, run);
    row.seconds = clock.seconds();
    rows.push_back(std::move(row));
  }
  std::stable_sort(rows.begin(), rows.end(), [](const SweepRow& a, const SweepRow& b) {
    return recall_of(a) > recall_of(b);
  });
  return rows;
}

std::string sweep_table(const std::vector<SweepRow>& rows) {
  size_t width = std::string("settings").size();
  for (const SweepRow& row : rows) width = std::max(width, row.settings.size());
  std::string table = fmt::format("{:<{}}", "settings", width);
  for (const auto& [metric, value] : rows.front().summary.info.validation) {
    table += fmt::format("  {:>12}", metric);
  }
  table += "  seconds";
  for (const SweepRow& row : rows) {
    table += fmt::format("\n{:<{}}", row.settings, width);
    for (const auto& [metric, value] : row.summary.info.validation) {
      table += fmt::format("  {:>12.1f}", 100 * value);
    }
    table += row.summary.already_done ? "    there" : fmt::format("  {:7.0f}", row.seconds);
  }
  return table;
}

}  // namespace foregate::predict
