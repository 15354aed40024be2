#include "generate_options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <limits>

#include "base/error.h"
#include "options/number_options.h"

namespace foregate {
namespace {

constexpr double kLargestSetting = 1000;  // of what is multiplied or added to logits

std::pair<int32_t, double> parse_bias(const std::string& argument) {
  const size_t equals = argument.find('=');
  int32_t id = 0;
  double bias = 0;
  const auto reads = [&](size_t first, size_t last, auto& value) {
    const char* end = argument.data() + last;
    const auto [stop, error] = std::from_chars(argument.data() + first, end, value);
    return error == std::errc() && stop == end;
  };
  if (equals == std::string::npos || !reads(0, equals, id) ||
      !reads(equals + 1, argument.size(), bias)) {
    throw UsageError(fmt::format(
        "--logit-bias '{}' is not of the form ID=VALUE, e.g. 1234=-5 or 0=-inf", argument));
  }
  return {id, bias};
}

engine::SamplingSettings settings_of(const SamplingArguments& arguments,
                                     const engine::SamplingSettings& defaults) {
  engine::SamplingSettings sampling = defaults;
  const bool narrows = arguments.top_k || arguments.top_p || arguments.min_p;
  if (narrows && arguments.temperature == 0.0) {
    throw UsageError(
        "--temperature 0 always takes the likeliest token; leave out --top-k, --top-p and --min-p, "
        "or give a temperature above 0");
  }
  if (narrows && sampling.temperature == 0) sampling.temperature = 1;
  sampling.temperature = arguments.temperature.value_or(sampling.temperature);
  sampling.top_k = arguments.top_k.value_or(sampling.top_k);
  sampling.top_p = arguments.top_p.value_or(sampling.top_p);
  sampling.min_p = arguments.min_p.value_or(sampling.min_p);
  sampling.repetition_penalty = arguments.repetition_penalty.value_or(sampling.repetition_penalty);
  sampling.presence_penalty = arguments.presence_penalty.value_or(0);
  sampling.frequency_penalty = arguments.frequency_penalty.value_or(0);
  for (const std::string& bias : arguments.logit_bias) sampling.logit_bias.insert(parse_bias(bias));
  return sampling;
}

}  // namespace

bool SamplingArguments::any() const {
  return temperature || top_p || min_p || repetition_penalty || top_k || presence_penalty ||
         frequency_penalty || !logit_bias.empty() || ignore_eos;
}

void add_sampling_options(CLI::App& command, SamplingArguments& arguments) {
  add_decimal_option(command, "--temperature", arguments.temperature, {0, kLargestSetting},
                     "Flattens (above 1) or sharpens the distribution; 0 takes the likeliest token "
                     "(default: the model's, else 0)");
  add_number_option(command, "--top-k", arguments.top_k, {0, kMostAtOnce},
                    "Only the K likeliest tokens; 0: all");
  add_probability_option(command, "--top-p", arguments.top_p,
                         "Only the likeliest tokens that have this probability together");
  add_probability_option(command, "--min-p", arguments.min_p,
                         "Only tokens at least so likely, relative to the likeliest");
  add_decimal_option(command, "--repetition-penalty", arguments.repetition_penalty,
                     {0, kLargestSetting}, "Above 1: tokens of prompt and text become less likely");
  add_decimal_option(command, "--presence-penalty", arguments.presence_penalty,
                     {-kLargestSetting, kLargestSetting},
                     "Taken off the logits of tokens that were generated");
  add_decimal_option(command, "--frequency-penalty", arguments.frequency_penalty,
                     {-kLargestSetting, kLargestSetting},
                     "Taken off them for each time they were generated");
  command
      .add_option("--logit-bias", arguments.logit_bias,
                  "ID=VALUE is added to a token's logit; -inf forbids it; may be repeated")
      ->allow_extra_args(false);
  command.add_flag("--ignore-eos", arguments.ignore_eos,
                   "Go on where the model says that the text ends");
}

void add_generation_options(CLI::App& command, GenerationArguments& arguments) {
  add_number_option(command, "-n,--max-tokens", arguments.max_tokens, {1, kMostAtOnce},
                    fmt::format("Tokens to generate at most (default: the model's max_new_tokens, "
                                "else {}, or what its context leaves)",
                                kDefaultMaxTokens));
  add_sampling_options(command, arguments.sampling);
  add_seed_option(command, "--seed", arguments.seed, "Of the random choices");
  command.add_option("--stop", arguments.stop, "End in front of this text; may be repeated")
      ->allow_extra_args(false);
  add_number_option(command, "--stop-id", arguments.stop_ids,
                    {0, std::numeric_limits<int32_t>::max()}, "End at this token; may be repeated");
  add_number_option(command, "--logprobs", arguments.logprobs, {0, kMostAtOnce},
                    "Tell the log probability of every token, and of so many alternatives");
}

engine::GenerationDefaults read_defaults(const std::filesystem::path& model, Logger& log) {
  engine::GenerationDefaults defaults = engine::read_generation_defaults(model);
  for (const std::string& setting : defaults.passed_over) {
    log.warning("generation_config.json: {} is not implemented and passed over", setting);
  }
  return defaults;
}

engine::GenerationRequest parse_sampling(const SamplingArguments& arguments,
                                         const engine::GenerationDefaults& defaults,
                                         int64_t vocab_size) {
  engine::GenerationRequest request;
  request.sampling = settings_of(arguments, defaults.sampling);
  engine::check_sampling(request.sampling, vocab_size, "--");
  if (!arguments.ignore_eos) request.stop_ids = defaults.eos_ids;
  return request;
}

engine::GenerationRequest parse_generation(const GenerationArguments& arguments,
                                           const engine::GenerationDefaults& defaults,
                                           int64_t vocab_size) {
  const auto require = [](bool good, const char* option, int64_t value, const char* expected) {
    if (!good) throw UsageError(fmt::format("{} is {}; expected {}", option, value, expected));
  };
  engine::GenerationRequest request = parse_sampling(arguments.sampling, defaults, vocab_size);
  request.seed = arguments.seed;
  request.max_tokens =
      arguments.max_tokens.value_or(defaults.max_tokens.value_or(kDefaultMaxTokens));
  request.logprobs = arguments.logprobs.value_or(-1);
  if (arguments.logprobs) {
    require(request.logprobs <= vocab_size, "--logprobs", request.logprobs,
            "0 up to the size of the vocabulary");
  }
  for (const int id : arguments.stop_ids) {
    require(id < vocab_size, "--stop-id", id, "an id of the model's vocabulary");
    request.stop_ids.push_back(id);
  }
  for (const std::string& stop : arguments.stop) {
    if (stop.empty()) throw UsageError("--stop is empty; expected a text");
    request.stop_strings.push_back(stop);
  }
  return request;
}

}  // namespace foregate
