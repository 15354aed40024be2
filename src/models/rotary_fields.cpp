#include "models/rotary_fields.h"

#include <fmt/core.h>

#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

namespace foregate::models {
namespace {

constexpr double kLargestTheta = 1e12;
constexpr double kLargestScale = 1e6;
constexpr double kLargestContext = 1e12;

struct Base {
  int64_t width;
  double theta;
  bool longrope;  // there may be one
};

nn::Rotary plain(const JsonReader& /*rope*/, const Base& base) {
  return nn::plain_rotary(base.width, base.theta);
}

// Null, absent and 0 mean the default.
double number_or(const JsonReader& rope, const char* key, double fallback) {
  const double value = rope.number(key, 0, kLargestScale, 0);
  return value == 0 ? fallback : value;
}

double yarn_factor(const JsonReader& rope, double scale) {
  if (rope.has("attention_factor")) return rope.number("attention_factor", 0, kLargestScale);
  const double weight = rope.number("mscale", 0, kLargestScale, 0);
  const double all = rope.number("mscale_all_dim", 0, kLargestScale, 0);
  if (weight == 0 || all == 0) return nn::yarn_magnitude(scale);
  return nn::yarn_magnitude(scale, weight) / nn::yarn_magnitude(scale, all);
}

nn::Rotary yarn(const JsonReader& rope, const Base& base) {
  const double scale = rope.number("factor", 1e-6, kLargestScale);
  const nn::YarnScaling scaling{
      .scale = scale,
      .original_context = rope.number("original_max_position_embeddings", 1, kLargestContext),
      .beta_fast = number_or(rope, "beta_fast", 32),
      .beta_slow = number_or(rope, "beta_slow", 1),
      .truncate = rope.boolean("truncate", true)};
  nn::Rotary rotary = nn::yarn_rotary(base.width, base.theta, scaling);
  rotary.factor = yarn_factor(rope, scale);
  return rotary;
}

nn::Rotary llama3(const JsonReader& rope, const Base& base) {
  const nn::Llama3Scaling scaling{
      .scale = rope.number("factor", 1, kLargestScale),
      .original_context = rope.number("original_max_position_embeddings", 1, kLargestContext),
      .low = rope.number("low_freq_factor", 1e-6, kLargestScale),
      .high = rope.number("high_freq_factor", 1e-6, kLargestScale)};
  if (scaling.high <= scaling.low) {
    rope.fail("high_freq_factor", fmt::format("more than low_freq_factor, {:g}", scaling.low));
  }
  return nn::llama3_rotary(base.width, base.theta, scaling);
}

// Phi-3.5-MoE's, for texts of the original context: what follows that is read_longest_rotation's.
nn::Rotary longrope(const JsonReader& rope, const Base& base) {
  if (!base.longrope) {
    rope.fail(rope.has("rope_type") ? "rope_type" : "type",
              "another scaling: of this architecture longrope is not supported");
  }
  std::vector<double> factors;
  for (const Json& factor : rope.array("short_factor")) {
    if (!factor.is_number() || factor.get<double>() <= 0) {
      rope.fail("short_factor", "positive numbers");
    }
    factors.push_back(factor.get<double>());
  }
  if (2 * static_cast<int64_t>(factors.size()) != base.width) {
    rope.fail("short_factor", fmt::format("{} numbers, half a head's size", base.width / 2));
  }
  nn::Rotary rotary = nn::longrope_rotary(base.width, base.theta, factors);
  rotary.factor = rope.number("short_mscale", 0, kLargestScale);
  return rotary;
}

/// What rope_type may be.
struct RopeType {
  const char* name;
  nn::Rotary (*make)(const JsonReader& rope, const Base& base);
};
constexpr std::array kRopeTypes = {RopeType{"default", plain}, RopeType{"yarn", yarn},
                                   RopeType{"llama3", llama3}, RopeType{"longrope", longrope}};

// Old configs call it type.
std::string rope_type(const JsonReader& rope) {
  const std::string type = rope.string("rope_type", rope.string("type", "default"));
  if (rope.string("type", type) != type) rope.fail("type", fmt::format("{}, as rope_type", type));
  return type;
}

nn::Rotary make_rotary(const JsonReader& rope, const Base& base) {
  const std::string type = rope_type(rope);
  std::string supported;
  for (const RopeType& known : kRopeTypes) {
    if (type == known.name) return known.make(rope, base);
    supported += fmt::format("{}\"{}\"", supported.empty() ? "" : " or ", known.name);
  }
  rope.fail(rope.has("rope_type") ? "rope_type" : "type", supported + ", the ones supported");
}

double read_theta(const JsonReader& reader) {
  if (!reader.has("rope_parameters")) return reader.number("rope_theta", 1, kLargestTheta);
  const JsonReader rope = reader.object("rope_parameters");
  if (!rope.has("rope_theta")) return reader.number("rope_theta", 1, kLargestTheta);
  const double theta = rope.number("rope_theta", 1, kLargestTheta);
  if (reader.number("rope_theta", 1, kLargestTheta, theta) != theta) {
    reader.fail("rope_theta", fmt::format("{:g}, as in rope_parameters", theta));
  }
  return theta;
}

// Where the scaling is told of.
std::optional<JsonReader> scaling_of(const JsonReader& reader) {
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    if (reader.has(key)) return reader.object(key);
  }
  return std::nullopt;
}

}  // namespace

std::optional<int64_t> read_longest_rotation(const JsonReader& reader) {
  const std::optional<JsonReader> scaling = scaling_of(reader);
  if (!scaling || rope_type(*scaling) != "longrope") return std::nullopt;
  constexpr const char* kKey = "original_max_position_embeddings";
  return (reader.has(kKey) ? reader : *scaling).integer(kKey, 1, INT32_MAX);
}

nn::Rotary read_rotary(const JsonReader& reader, int64_t width, bool longrope) {
  const Base base{width, read_theta(reader), longrope};
  const std::optional<JsonReader> scaling = scaling_of(reader);
  if (!scaling) return nn::plain_rotary(base.width, base.theta);
  const nn::Rotary rotary = make_rotary(*scaling, base);
  if (reader.has("rope_parameters") && reader.has("rope_scaling") &&
      !(make_rotary(reader.object("rope_scaling"), base) == rotary)) {
    reader.fail("rope_scaling", "what rope_parameters says, or null");
  }
  return rotary;
}

int64_t read_rotary_width(const JsonReader& reader, int64_t head_dim) {
  const auto width_by = [&](const JsonReader& fields) {
    const double width =
        static_cast<double>(head_dim) * fields.number("partial_rotary_factor", 0, 1);
    if (width < 2 || std::fmod(width, 2) != 0) {
      fields.fail("partial_rotary_factor",
                  fmt::format("an even number of a head's {} elements", head_dim));
    }
    return static_cast<int64_t>(width);
  };
  std::optional<int64_t> width;
  if (const auto scaling = scaling_of(reader); scaling && scaling->has("partial_rotary_factor")) {
    width = width_by(*scaling);
  }
  if (reader.has("partial_rotary_factor")) {
    const int64_t here = width_by(reader);
    if (width.value_or(here) != here) {
      reader.fail("partial_rotary_factor", "the same as in rope_parameters");
    }
    width = here;
  }
  if (reader.has("rotary_dim")) {
    const int64_t here = reader.integer("rotary_dim", 2, head_dim);
    if (here % 2 != 0) reader.fail("rotary_dim", "an even number");
    if (width.value_or(here) != here) {
      reader.fail("rotary_dim", fmt::format("{}, as partial_rotary_factor says", *width));
    }
    width = here;
  }
  if (!width) reader.number("partial_rotary_factor", 0, 1);  // throws: it is missing
  return *width;
}

void refuse_partial_rotary(const JsonReader& reader, int64_t head_dim) {
  const auto check = [](const JsonReader& fields) {
    if (fields.number("partial_rotary_factor", 0, 1, 1.0) != 1.0) {
      fields.fail("partial_rotary_factor", "1, the only one supported");
    }
  };
  check(reader);
  if (reader.has("rope_parameters")) check(reader.object("rope_parameters"));
  if (reader.has("rope_scaling")) check(reader.object("rope_scaling"));
  if (reader.has("rotary_dim") && reader.integer("rotary_dim", 0, INT32_MAX) != head_dim) {
    reader.fail("rotary_dim", fmt::format("{}, all of a head", head_dim));
  }
}

double read_deepseek_score_factor(const JsonReader& reader) {
  const std::optional<JsonReader> rope = scaling_of(reader);
  if (!rope || rope_type(*rope) == "default") return 1;
  const double weight = rope->number("mscale_all_dim", 0, kLargestScale, 0);
  if (weight == 0) return 1;
  const double magnitude = nn::yarn_magnitude(rope->number("factor", 0, kLargestScale), weight);
  return magnitude * magnitude;
}

}  // namespace foregate::models
