#include "trace/import/routing_value.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "base/encoding/base64.h"
#include "base/error.h"
#include "trace/geometry.h"
#include "trace/import/npy.h"

namespace foregate::trace {
namespace {

constexpr std::string_view kNumpyMagic = "\x93NUMPY";
constexpr size_t kMaxGuess = 64;    // Experts a decision of any model known.
constexpr int64_t kSurprises = 20;  // Chance lets that many common experts out once in e^20.

[[noreturn]] void fail_ragged(const std::string& where) {
  throw DataError(
      fmt::format("{}: 'routed_experts' is not a list [tokens][MoE layers][k] of the same lengths "
                  "throughout",
                  where));
}

/// Lengths of a nested list [tokens][layers][k].
struct Lengths {
  int64_t tokens = 0;
  int64_t layers = 0;
  int64_t k = 0;
  bool operator==(const Lengths&) const = default;
};

/// Calls `visit` for every number, in order; lists must be as long as their first sisters.
template <typename Visit>
Lengths visit_numbers(const Json& tokens, const std::string& where, const Visit& visit) {
  size_t layer_count = 0;
  size_t k = 0;
  for (const Json& layers : tokens) {
    if (!layers.is_array() || layers.empty()) fail_ragged(where);
    if (layer_count == 0) layer_count = layers.size();
    if (layers.size() != layer_count) fail_ragged(where);
    for (const Json& decision : layers) {
      if (!decision.is_array() || decision.empty()) fail_ragged(where);
      if (k == 0) k = decision.size();
      if (decision.size() != k) fail_ragged(where);
      for (const Json& value : decision) visit(value);
    }
  }
  if (tokens.empty() || layer_count > size_t{kMaxLayers}) fail_ragged(where);
  return {static_cast<int64_t>(tokens.size()), static_cast<int64_t>(layer_count),
          static_cast<int64_t>(k)};
}

RoutingBlock from_lists(const Json& value, const std::string& where) {
  std::vector<int64_t> ids;
  const Lengths lengths = visit_numbers(value, where, [&](const Json& id) {
    if (!id.is_number_integer()) {
      throw DataError(fmt::format("{}: 'routed_experts' holds {}; expected expert ids from 0 to {}",
                                  where, id.dump(), kMaxExperts - 1));
    }
    ids.push_back(id.get<int64_t>());
  });
  return make_block(ids, lengths.tokens, lengths.layers, lengths.k, where);
}

struct IntegerType {
  int width = 0;
  bool is_signed = false;
};

/// Of NumPy's and PyTorch's names: "int16", "torch.uint8", "<i2".
IntegerType integer_type(const std::string& name, const std::string& where) {
  std::string_view type = name;
  if (type.starts_with("torch.")) type.remove_prefix(6);
  if (!type.empty() && (type.front() == '<' || type.front() == '|')) type.remove_prefix(1);
  const struct {
    const char* names[2];
    IntegerType type;
  } known[] = {{{"int32", "i4"}, {4, true}},  {{"int16", "i2"}, {2, true}},
               {{"uint8", "u1"}, {1, false}}, {{"uint16", "u2"}, {2, false}},
               {{"int8", "i1"}, {1, true}},   {{"int64", "i8"}, {8, true}},
               {{"uint32", "u4"}, {4, false}}};
  for (const auto& entry : known) {
    if (type == entry.names[0] || type == entry.names[1]) return entry.type;
  }
  throw DataError(fmt::format(
      "{}: an array of '{}'; expected integers: uint8, int8, uint16, int16, int32 or int64", where,
      name));
}

std::vector<int64_t> integers_of(std::string_view bytes, const std::string& dtype,
                                 const std::string& where) {
  const IntegerType type = integer_type(dtype.empty() ? "int32" : dtype, where);
  const auto width = static_cast<size_t>(type.width);
  if (bytes.size() % width != 0) {
    throw DataError(fmt::format("{}: {} bytes of base64 are no whole number of {} integers", where,
                                bytes.size(), dtype.empty() ? "int32" : dtype));
  }
  std::vector<int64_t> values;
  values.reserve(bytes.size() / width);
  for (size_t i = 0; i < bytes.size(); i += width) {
    uint64_t bits = 0;
    for (size_t b = width; b-- > 0;) bits = bits << 8 | static_cast<uint8_t>(bytes[i + b]);
    const int unused = 64 - 8 * type.width;
    values.push_back(type.is_signed ? static_cast<int64_t>(bits << unused) >> unused
                                    : static_cast<int64_t>(bits));
  }
  return values;
}

std::string decoded(const std::string& text, const std::string& where) {
  if (auto bytes = decode_base64(text); bytes && !text.empty()) return *std::move(bytes);
  const bool is_file = text.ends_with(".npy");
  throw DataError(fmt::format(
      "{}: 'routed_experts' is \"{:.40}{}\", which {}", where, text, text.size() > 40 ? "..." : "",
      is_file ? "names a file: import the folder with --format npy"
              : "is not whole base64; expected lists [token][layer][k], base64 of a NumPy file "
                "(numpy.save) or of int32 integers"));
}

RoutingBlock from_npy(std::string bytes, const std::string& where) {
  const NpyArray array(std::move(bytes), where + " (base64)");
  array.require(/*real=*/false, 3, "integers [tokens, layers, k]");
  const auto& shape = array.shape();
  if (shape[0] == 0) throw DataError(fmt::format("{}: the array has no rows", array.name()));
  std::vector<int64_t> ids;
  ids.reserve(static_cast<size_t>(array.size()));
  for (int64_t i = 0; i < array.size(); ++i) ids.push_back(array.integer(i));
  return make_block(ids, shape[0], shape[1], shape[2], where);
}

RoutingBlock from_bare(const std::vector<int64_t>& ids, const RoutingPlace& place,
                       const ArrayForm& form) {
  const int64_t rows = fitting_rows(ids.size(), place.rows, form);
  if (rows > 0) {
    const auto width = static_cast<int64_t>(ids.size()) / rows;
    return make_block(ids, rows, width / form.top_k, form.top_k, place.where);
  }
  if (form.top_k == 0) {
    throw DataError(
        fmt::format("{}: an array of {} integers without a shape, of a record that does not say "
                    "how many tokens "
                    "it is of; keep the token ids or the counts (usage, meta_info) beside it",
                    place.where, ids.size()));
  }
  throw DataError(fmt::format(
      "{}: an array of {} integers without a shape, which {} experts a decision{} and {} do not "
      "explain; expected [tokens, layers, k] of all tokens but the last",
      place.where, ids.size(), form.top_k,
      form.layers > 0 ? fmt::format(", {} layers", form.layers) : "",
      place.rows.empty() ? "an unknown number of tokens"
                         : fmt::format("{} tokens", fmt::join(place.rows, " or "))));
}

/// Of an array that has a shape and no dtype: so many bytes a value.
std::string dtype_of(size_t bytes, const std::vector<int64_t>& shape, const RoutingPlace& place) {
  if (!place.dtype.empty()) return place.dtype;
  double values = 1;
  for (const int64_t n : shape) values *= static_cast<double>(n);
  const auto is = [&](int width) { return values * width == static_cast<double>(bytes); };
  return is(1) ? "uint8" : is(2) ? "int16" : is(8) ? "int64" : "int32";
}

RoutingBlock from_object(const Json& value, const RoutingPlace& place) {
  const JsonReader reader(value, place.where + ": routed_experts");
  const std::string encoding = reader.string("encoding", "base64");
  if (encoding != "base64") reader.fail("encoding", "base64");
  const std::string bytes = decoded(reader.string("data"), place.where);
  if (bytes.starts_with(kNumpyMagic)) return from_npy(bytes, place.where);
  const std::vector<int64_t> shape = reader.integers("shape");
  const auto ids =
      integers_of(bytes, reader.string("dtype", dtype_of(bytes.size(), shape, place)), place.where);
  const bool fits = shape.size() == 3 &&
                    std::all_of(shape.begin(), shape.end(), [](int64_t n) { return n > 0; }) &&
                    shape[1] <= kMaxLayers && shape[2] <= kMaxExperts &&
                    shape[0] <= static_cast<int64_t>(ids.size()) &&
                    shape[0] * shape[1] * shape[2] == static_cast<int64_t>(ids.size());
  if (!fits) {
    reader.fail("shape",
                fmt::format("[tokens, layers, k] of the {} integers in 'data'", ids.size()));
  }
  return make_block(ids, shape[0], shape[1], shape[2], place.where);
}

}  // namespace

RoutingBlock read_routing(const Json& value, const RoutingPlace& place, const ArrayForm& form) {
  if (value.is_array()) return from_lists(value, place.where);
  if (value.is_object()) return from_object(value, place);
  if (!value.is_string()) {
    throw DataError(
        fmt::format("{}: 'routed_experts' is {}; expected lists [token][layer][k] or base64",
                    place.where, value.dump()));
  }
  std::string bytes = decoded(value.get<std::string>(), place.where);
  if (bytes.starts_with(kNumpyMagic)) return from_npy(std::move(bytes), place.where);
  return from_bare(integers_of(bytes, place.dtype, place.where), place, form);
}

void read_weights(const Json& value, const std::string& where, RoutingBlock& block) {
  if (!value.is_array()) {
    throw DataError(fmt::format("{}: 'gate_weights' is not a list [tokens][MoE layers][k]", where));
  }
  const Lengths lengths = visit_numbers(value, where, [&](const Json& weight) {
    if (!weight.is_number()) {
      const auto index = static_cast<int64_t>(block.weights.size()) / block.k;
      throw DataError(
          fmt::format("{}: 'gate_weights' has {} of token {} at layer {}; expected finite numbers",
                      where, weight.is_null() ? "NaN, Infinity or null" : weight.dump(),
                      index / block.layers, index % block.layers));
    }
    block.weights.push_back(weight.get<float>());
  });
  if (lengths != Lengths{block.tokens, block.layers, block.k}) {
    throw DataError(fmt::format(
        "{}: 'gate_weights' has not the shape of the experts: {} tokens, {} layers, {} experts a "
        "decision",
        where, block.tokens, block.layers, block.k));
  }
}

std::vector<int64_t> bare_ids(const Json& value, const RoutingPlace& place) {
  if (!value.is_string()) return {};
  const std::string bytes = decoded(value.get<std::string>(), place.where);
  if (bytes.starts_with(kNumpyMagic)) return {};
  return integers_of(bytes, place.dtype, place.where);
}

int64_t fitting_rows(size_t values, const std::vector<int64_t>& rows, const ArrayForm& form) {
  const auto count = static_cast<int64_t>(values);
  const auto fits = [&](int64_t n) {
    return n > 0 && count % n == 0 && count > 0 && form.top_k > 0 && count / n % form.top_k == 0 &&
           (form.layers == 0 || count / n == form.layers * form.top_k);
  };
  const auto found = std::find_if(rows.begin(), rows.end(), fits);
  if (found != rows.end()) return *found;
  if (!rows.empty() || form.layers == 0 || form.top_k == 0) return 0;
  const int64_t width = form.layers * form.top_k;
  return count % width == 0 ? count / width : 0;
}

void TopKGuess::add(const std::vector<int64_t>& ids, int64_t rows) {
  const auto width = static_cast<int64_t>(ids.size()) / rows;
  if (width_ == 0) {
    width_ = width;
    for (int64_t k = 1; k <= std::min<int64_t>(width, kMaxGuess); ++k) {
      if (width % k == 0) candidates_.push_back({.k = k});
    }
  }
  if (width != width_) return;  // Said when the text is read.
  largest_ = std::max(largest_, *std::max_element(ids.begin(), ids.end()));
  std::vector<int64_t> decision;
  std::erase_if(candidates_, [&](Candidate& candidate) {
    for (auto first = ids.begin(); first != ids.end(); first += candidate.k) {
      decision.assign(first, first + candidate.k);
      std::sort(decision.begin(), decision.end());
      if (decision.front() == decision.back() && candidate.k > 1 && decision.front() <= 0) continue;
      if (std::adjacent_find(decision.begin(), decision.end()) != decision.end()) return true;
      ++candidate.decisions;
    }
    return false;
  });
}

int64_t TopKGuess::top_k() const {
  return candidates_.empty() ? 0 : candidates_.back().k;
}

bool TopKGuess::sure() const {
  if (candidates_.empty()) return false;
  // Were the truth a divisor d, a decision of k would be m = k / d of them, any two of which have
  // an expert in common with a chance of about d * d / experts.
  const auto [k, decisions] = candidates_.back();
  int64_t fewest = INT64_MAX;
  for (int64_t d = 1; d < k; ++d) {
    if (k % d == 0) fewest = std::min(fewest, k / d * (k / d - 1) / 2 * d * d);
  }
  return k == 1 || decisions * fewest >= kSurprises * (largest_ + 1);
}

}  // namespace foregate::trace
