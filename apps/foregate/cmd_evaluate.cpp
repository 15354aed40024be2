#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "commands.h"
#include "model_options.h"
#include "options/number_options.h"
#include "output.h"
#include "predict/evaluation/evaluate.h"
#include "predict_options.h"
#include "stats/evaluation/json.h"
#include "stats/evaluation/table.h"
#include "tensor/device/device.h"
#include "trace/geometry.h"

namespace foregate {
namespace {

constexpr const char* kFooter =
    "examples:\n"
    "  foregate evaluate --traces traces\n"
    "  foregate evaluate --traces traces --predictor adapter --predictor frequency --json\n"
    "  foregate evaluate --traces traces --predictor adapter --budget 12 --threshold 0.1\n"
    "  foregate evaluate --traces traces --predictor adapter --wide\n"
    "  foregate evaluate --traces traces --predictor transition --lead layer-1 --lead layer-2\n"
    "  foregate evaluate --traces traces --predictor statistics --lead layer-1 --cross-domain\n"
    "Predictors given by name are fitted on the training split first; trained ones are given as "
    "the directory that\n"
    "`foregate train` wrote. The own-router control is computed whenever the trace has hidden "
    "states.";

struct Arguments {
  predict::EvaluateOptions options;
  std::string model;
  std::vector<std::string> leads;
  std::string split = "test";
  std::string device = "cpu";
  bool wide = false;
  bool json = false;
};

void run_evaluate(Arguments& arguments, const RunContext& run) {
  predict::EvaluateOptions& options = arguments.options;
  for (const std::string& lead : arguments.leads)
    options.leads.push_back(scoring::parse_lead(lead));
  options.all_texts = arguments.split == "all";
  options.device = tensor::choose_device(arguments.device, run.log);
  options.routers = routers_of_model(arguments.model);
  const stats::Evaluation evaluation = predict::evaluate(options, run);
  if (arguments.json) {
    print_json(stats::evaluation_json(evaluation));
  } else if (arguments.wide) {
    print_line(stats::evaluation_table(evaluation));
  } else {
    print_line(stats::evaluation_summary(evaluation));
    run.log.info(
        "gain: in recall, over the best untrained predictor of the lead. --wide shows "
        "every metric, budgets and cost; --json all of it");
  }
}

}  // namespace

void add_evaluate_command(CLI::App& app, const RunContext& run) {
  auto arguments = std::make_shared<Arguments>();
  predict::EvaluateOptions& options = arguments->options;
  CLI::App* command =
      app.add_subcommand("evaluate", "Measure how well predictors foresee the experts");
  command->footer(kFooter);
  command->add_option("--traces", options.traces, "Trace directory")->required();
  command
      ->add_option("--predictor", options.predictors,
                   "Predictor directory or name, repeatable (" + predictor_list() +
                       "); default: all that need no training")
      ->allow_extra_args(false);
  command
      ->add_option("--lead", arguments->leads,
                   "next-token, layer-H or pre-attention, repeatable; default: next-token, "
                   "layer-1, layer-2 and pre-attention, as far as the trace has what they need")
      ->allow_extra_args(false);
  command->add_option("--split", arguments->split, "Texts to measure on")
      ->check(CLI::IsMember({"test", "all"}))
      ->capture_default_str();
  command
      ->add_option("--hold-out", options.held_out,
                   "Dataset to measure on, with nothing learned from it, instead of the test split")
      ->excludes("--split");
  command
      ->add_flag("--cross-domain", options.cross_domain,
                 "Also fit the predictors given by name on each dataset alone, and print their "
                 "recall on the test texts of every dataset")
      ->excludes("--split")
      ->excludes("--hold-out");
  command->add_option("--model", arguments->model,
                      "Checkpoint (directory, or OWNER/NAME that was pulled) whose routers to "
                      "check and predict with, instead of those "
                      "recorded with the trace");
  add_number_option(*command, "--budget", options.budgets, {1, trace::kMaxExperts},
                    "Also measure fetching this many experts, repeatable; k and 2k always are");
  add_probability_option(*command, "--threshold", options.threshold,
                         "Also measure fetching every expert at least this probable");
  add_device_option(*command, arguments->device, "That neural predictors run on: ");
  add_seed_option(*command, "--seed", options.seed,
                  "Of the random predictor, the validation texts that mixtures are fitted on, and "
                  "the bootstrap");
  command->add_flag("--wide", arguments->wide,
                    "Print every metric with its interval, the experts to fetch, calibration and "
                    "cost, however wide");
  command->add_flag("--json", arguments->json, "Print one JSON document")->excludes("--wide");
  command->callback([arguments, &run] { run_evaluate(*arguments, run); });
}

}  // namespace foregate
