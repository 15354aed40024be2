#include "simulate_gain.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "scoring/error.h"
#include "simulation.h"
#include "stats/evaluation/text_table.h"

namespace foregate {
namespace {

constexpr const char* kPolicy = "lrfu-8";
constexpr const char* kOracle = "oracle-4";
constexpr const char* kReportPolicies = "lru,lru-token,lfu,lrfu-8,lrfu-32-layer,static,belady";
constexpr const char* kReportBudgets = "5%,10%,15%,20%,25%,30%,40%,50%,60%,70%,80%,90%";
constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
constexpr size_t kNameColumns = 40;

report::Simulation::Run run_of(const TimedRow& row) {
  if (!row.outcome.impossible.empty()) return {kNone, kNone, kNone, kNone, kNone, kNone};
  const offload::TimedResult& result = row.outcome.result;
  const auto tokens = static_cast<double>(result.token_seconds.count());
  const double moved = result.demand_bytes + result.useful_bytes + result.wasted_bytes;
  return {row.tokens_per_second(),          result.mean_resident(),
          row.mean_stall_seconds(),         result.demand_seconds / tokens,
          result.prefetch_seconds / tokens, moved > 0 ? result.wasted_bytes / moved : 0};
}

void add_times(const Simulation& simulation, const SimulateArguments& arguments,
               const RunContext& run, report::Simulation& out) {
  const offload::HardwareProfile hardware = parse_hardware(arguments, run);
  out.hardware = hardware.name;
  out.policy = kPolicy;
  out.expert_bytes = simulation.model().expert_bytes;
  const std::vector<TimedRow> rows = simulation.times(hardware);
  out.timed_tokens = rows.back().outcome.result.token_seconds.count();
  const size_t each = rows.size() / simulation.budgets().size();  // of a budget
  for (size_t i = 0; i < each; ++i) {
    report::Simulation::Prefetch& prefetch = out.prefetches.emplace_back();
    prefetch.predictor = rows[i].predictor;
    for (size_t budget = 0; budget < simulation.budgets().size(); ++budget)
      prefetch.runs.push_back(run_of(rows[budget * each + i]));
  }
}

std::string percent(double share, int digits = 1) {
  return std::isnan(share) ? "-" : fmt::format("{:.{}f}", 100 * share, digits);
}

Json json_number(double value) {
  return std::isfinite(value) ? Json(value) : Json(nullptr);
}

}  // namespace

std::vector<std::string> replayable(const std::vector<std::string>& predictors,
                                    const trace::Geometry& geometry, const RunContext& run) {
  std::vector<std::string> some;
  for (const std::string& predictor : predictors) {
    if (!std::filesystem::is_directory(predictor)) {
      run.log.info("{}: not simulated; give the directory that train wrote", predictor);
      continue;
    }
    try {
      const offload::TrainedPredictor trained(predictor, geometry);
      some.push_back(predictor);
    } catch (const scoring::UnsupportedError& error) {
      run.log.info("{}: not simulated: {}", predictor, error.what());
    }
  }
  return some;
}

void check_hardware(const std::string& option, const SimulateArguments& arguments,
                    const RunContext& run) {
  if (arguments.hardware.empty()) return;
  parse_hardware(arguments, run);
  if (arguments.model.empty() && arguments.expert_size.empty())
    throw UsageError(option + " needs the size of an expert; give --expert-size");
}

report::Simulation simulate_for_report(SimulateArguments arguments, const RunContext& run) {
  arguments.budgets = {kReportBudgets};
  arguments.policies = {kReportPolicies};
  const std::vector<std::string> predictors = std::move(arguments.predictors);
  arguments.predictors.clear();
  report::Simulation out;
  {
    const Simulation simulation(arguments, run);
    const offload::SweepResult result = simulation.hits();
    const size_t sizes = simulation.budgets().size();
    out.tokens = result.tokens;
    out.texts = result.texts;
    for (const Budget& budget : simulation.budgets()) out.budgets.push_back(budget.text);
    for (size_t i = 0; i < result.cells.size(); ++i) {
      const offload::SweepCell& cell = result.cells[i];
      if (i % sizes == 0) out.curves.push_back({offload::policy_name(cell.policy), {}});
      out.curves.back().hit_rates.push_back(cell.impossible.empty() ? cell.generated.rate()
                                                                    : kNone);
    }
  }
  if (arguments.hardware.empty()) return out;
  arguments.policies = {kPolicy};
  arguments.predictors = {kOracle};
  arguments.predictors.insert(arguments.predictors.end(), predictors.begin(), predictors.end());
  add_times(Simulation(arguments, run), arguments, run, out);
  return out;
}

std::vector<Gain> measure_gains(SimulateArguments arguments, const stats::Evaluation& evaluation,
                                const RunContext& run) {
  arguments.policies = {kPolicy};
  arguments.predictors.insert(arguments.predictors.begin(), kOracle);
  const Simulation simulation(arguments, run);
  const std::vector<TimedRow> rows = simulation.times(parse_hardware(arguments, run));
  const double on_demand = rows.front().mean_stall_seconds();
  std::vector<Gain> gains;
  for (const TimedRow& row : rows) {
    Gain& gain = gains.emplace_back();
    const report::Simulation::Run of_row = run_of(row);
    gain.predictor = row.predictor;
    gain.recall = kNone;
    gain.tokens_per_second = of_row.tokens_per_second;
    gain.stall_saved = on_demand > 0 ? 1 - of_row.wait_seconds / on_demand : 0;
    gain.wasted_share = of_row.wasted_share;
    for (const stats::EvaluationRow& evaluated : evaluation.rows) {
      if (evaluated.predictor != row.predictor) continue;
      gain.lead = evaluated.lead;
      gain.recall = evaluated.recall(evaluation.top_k);
    }
  }
  return gains;
}

std::string gain_table(const std::vector<Gain>& gains, int top_k) {
  stats::Cells cells{{"prefetch", "lead", fmt::format("recall@{}", top_k), "tok/s", "faster %",
                      "stall saved %", "waste %"}};
  for (const Gain& gain : gains) {
    const bool on_demand = gain.predictor.empty();
    cells.push_back(
        {on_demand ? "on demand" : stats::shortened_in_front(gain.predictor, kNameColumns),
         gain.lead.empty() ? "-" : gain.lead, percent(gain.recall),
         fmt::format("{:.1f}", gain.tokens_per_second),
         on_demand ? "-" : percent(gain.tokens_per_second / gains.front().tokens_per_second - 1),
         on_demand ? "-" : percent(gain.stall_saved), percent(gain.wasted_share)});
  }
  return stats::aligned(cells, {.indent = 2, .left = 2});
}

Json gain_json(const std::vector<Gain>& gains) {
  Json all = Json::array();
  for (const Gain& gain : gains) {
    all.push_back({{"predictor", gain.predictor.empty() ? Json(nullptr) : Json(gain.predictor)},
                   {"lead", gain.lead},
                   {"recall", json_number(gain.recall)},
                   {"tokens_per_second", json_number(gain.tokens_per_second)},
                   {"stall_saved", json_number(gain.stall_saved)},
                   {"wasted_share", json_number(gain.wasted_share)}});
  }
  return all;
}

}  // namespace foregate
