#include "simulate_output.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "base/number_text.h"
#include "stats/evaluation/text_table.h"

namespace foregate {
namespace {

using offload::SweepCell;
using offload::TimedResult;

constexpr double kMilli = 1e-3;
constexpr size_t kNameColumns = 22;

std::string number(double value, int digits) {
  return std::isnan(value) ? "-" : fmt::format("{:.{}f}", value, digits);
}

/// JSON has no NaN.
Json json_number(double value) {
  return std::isfinite(value) ? Json(value) : Json(nullptr);
}

/// Misses of Belady's optimum at a size, by slots.
std::map<int64_t, int64_t> fewest_misses(const offload::SweepResult& result) {
  std::map<int64_t, int64_t> misses;
  for (const SweepCell& cell : result.cells) {
    const offload::Policy& policy = cell.policy;
    if (policy.needs_future() && policy.bypass && !policy.by_layer && cell.impossible.empty())
      misses[cell.slots] = cell.generated.misses() + cell.prompt.misses();
  }
  return misses;
}

/// How many times Belady's misses; NaN if that is not known, or it has none.
double regret(const SweepCell& cell, const std::map<int64_t, int64_t>& fewest) {
  const auto best = fewest.find(cell.slots);
  if (best == fewest.end() || best->second == 0 || !cell.impossible.empty())
    return std::numeric_limits<double>::quiet_NaN();
  return static_cast<double>(cell.generated.misses() + cell.prompt.misses()) /
         static_cast<double>(best->second);
}

template <typename Value>
std::string cell_table(const offload::SweepResult& result, const std::vector<Budget>& budgets,
                       const std::string& corner, const Value& value) {
  stats::Cells cells{{corner}};
  for (const Budget& budget : budgets) cells.front().push_back(budget.text);
  for (size_t i = 0; i < result.cells.size(); ++i) {
    if (i % budgets.size() == 0) cells.push_back({offload::policy_name(result.cells[i].policy)});
    cells.back().push_back(value(result.cells[i]));
  }
  return stats::aligned(cells);
}

Json count_json(const offload::HitCount& count) {
  return {{"requests", count.requests},
          {"hits", count.hits},
          {"misses", count.misses()},
          {"hit_rate", json_number(count.rate())}};
}

double share(double part, double whole) {
  return whole > 0 ? part / whole : std::numeric_limits<double>::quiet_NaN();
}

std::string percent(double part, double whole) {
  return number(100 * share(part, whole), 1);
}

Json histogram_json(const offload::TimeHistogram& histogram) {
  return {{"count", histogram.count()},
          {"mean", json_number(histogram.mean())},
          {"p50", json_number(histogram.percentile(0.5))},
          {"p95", json_number(histogram.percentile(0.95))},
          {"p99", json_number(histogram.percentile(0.99))}};
}

Json found_json(const offload::FoundCount& found) {
  return {{"requests", found.requests()},
          {"hits", found.hits},
          {"late", found.late},
          {"misses", found.misses},
          {"misses_on_cpu", found.on_cpu}};
}

}  // namespace

std::string hit_tables(const offload::SweepResult& result, const std::vector<Budget>& budgets) {
  std::string text = cell_table(result, budgets, "hit %", [](const SweepCell& cell) {
    return cell.impossible.empty() ? number(100 * cell.generated.rate(), 1) : "-";
  });
  const std::map<int64_t, int64_t> fewest = fewest_misses(result);
  if (fewest.empty()) return text;
  text += "\n\n" + cell_table(result, budgets, "misses / Belady's", [&](const SweepCell& cell) {
            return number(regret(cell, fewest), 2);
          });
  return text;
}

Json sweep_json(const offload::SweepResult& result, const std::vector<Budget>& budgets) {
  const std::map<int64_t, int64_t> fewest = fewest_misses(result);
  Json cells = Json::array();
  for (size_t i = 0; i < result.cells.size(); ++i) {
    const SweepCell& cell = result.cells[i];
    Json json = {{"policy", offload::policy_name(cell.policy)},
                 {"budget", budgets[i % budgets.size()].text},
                 {"slots", cell.slots}};
    if (!cell.impossible.empty()) {
      json["impossible"] = cell.impossible;
    } else {
      json["generated"] = count_json(cell.generated);
      json["prompt"] = count_json(cell.prompt);
      json["misses_over_belady"] = json_number(regret(cell, fewest));
      json["hits_by_layer"] = cell.hits_by_layer;
    }
    cells.push_back(std::move(json));
  }
  Json curves = Json::object();
  for (const offload::SweepCurve& curve : result.curves)
    curves[offload::policy_name(curve.policy)] = curve.hits;
  return {{"texts", result.texts},     {"tokens", result.tokens},
          {"steps", result.steps},     {"requests", result.requests},
          {"cells", std::move(cells)}, {"hits_by_slots", std::move(curves)}};
}

std::string row_name(const TimedRow& row) {
  const std::string predictor = row.predictor.empty() ? "" : ", " + row.predictor;
  const bool experts = parse_whole_number(row.budget).has_value();
  return fmt::format("{}{} with {}{}: {:.1f} tokens/s", row.budget, experts ? " experts" : "",
                     offload::policy_name(row.cell.options.policy), predictor,
                     row.tokens_per_second());
}

bool one_policy(const std::vector<TimedRow>& rows) {
  return std::all_of(rows.begin(), rows.end(), [&](const TimedRow& row) {
    return row.cell.options.policy == rows.front().cell.options.policy;
  });
}

std::string timed_table(const std::vector<TimedRow>& rows) {
  bool prompts = false;
  for (const TimedRow& row : rows) prompts |= row.outcome.result.first_token_seconds.count() > 0;
  const bool policies = !one_policy(rows);
  stats::Cells cells{{"cache"}};
  const auto add_titles = [&](std::initializer_list<const char*> titles) {
    cells.front().insert(cells.front().end(), titles.begin(), titles.end());
  };
  if (policies) add_titles({"policy"});
  add_titles({"prefetch", "tok/s", "p50", "p95", "p99", "hit", "late", "miss", "waste", "link",
              "GPU", "/bound"});
  if (prompts) add_titles({"TTFT"});
  for (const TimedRow& row : rows) {
    const TimedResult& result = row.outcome.result;
    const auto requests = static_cast<double>(result.generated.requests());
    const auto of_requests = [&](int64_t count) {
      return percent(static_cast<double>(count), requests);
    };
    std::vector<std::string>& line = cells.emplace_back();
    line = {row.budget};
    if (policies) line.push_back(offload::policy_name(row.cell.options.policy));
    line.push_back(row.predictor.empty() ? "-"
                                         : stats::shortened_in_front(row.predictor, kNameColumns));
    if (!row.outcome.impossible.empty()) {
      line.resize(cells.front().size(), "-");
      continue;
    }
    line.push_back(number(row.tokens_per_second(), 1));
    for (const double share : {0.5, 0.95, 0.99})
      line.push_back(number(result.token_seconds.percentile(share) / kMilli, 1));
    const double moved = result.demand_bytes + result.useful_bytes + result.wasted_bytes;
    for (const int64_t count :
         {result.generated.hits, result.generated.late, result.generated.misses})
      line.push_back(of_requests(count));
    line.push_back(percent(result.wasted_bytes, moved));
    line.push_back(percent(result.demand_seconds + result.prefetch_seconds, result.seconds));
    line.push_back(percent(result.compute_seconds, result.seconds));
    line.push_back(number(result.token_seconds.mean() / result.mean_bound(), 2));
    if (prompts) line.push_back(number(result.first_token_seconds.percentile(0.5) / kMilli, 0));
  }
  return stats::aligned(cells, {.indent = 2, .left = policies ? size_t{3} : size_t{2}});
}

Json timed_json(const std::vector<TimedRow>& rows) {
  Json all = Json::array();
  for (const TimedRow& row : rows) {
    Json json = {{"budget", row.budget},
                 {"slots", row.cell.options.slots},
                 {"policy", offload::policy_name(row.cell.options.policy)},
                 {"predictor", row.predictor.empty() ? Json(nullptr) : Json(row.predictor)}};
    if (!row.outcome.impossible.empty()) {
      json["impossible"] = row.outcome.impossible;
      all.push_back(std::move(json));
      continue;
    }
    const TimedResult& result = row.outcome.result;
    json["tokens_per_second"] = json_number(row.tokens_per_second());
    json["seconds_per_token"] = histogram_json(result.token_seconds);
    json["seconds_to_first_token"] = histogram_json(result.first_token_seconds);
    json["bound_seconds_per_token"] = json_number(result.mean_bound());
    json["resident_seconds_per_token"] = json_number(result.mean_resident());
    json["generated"] = found_json(result.generated);
    json["prompt"] = found_json(result.prompt);
    json["bytes"] = {{"demand", result.demand_bytes},
                     {"useful", result.useful_bytes},
                     {"wasted", result.wasted_bytes}};
    json["seconds"] = {{"all", result.seconds},
                       {"compute", result.compute_seconds},
                       {"predictor", result.predictor_seconds},
                       {"link_demand", result.demand_seconds},
                       {"link_prefetch", result.prefetch_seconds}};
    json["storage_reads"] = result.storage_reads;
    all.push_back(std::move(json));
  }
  return all;
}

}  // namespace foregate
