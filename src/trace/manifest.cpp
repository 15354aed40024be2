#include "trace/manifest.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/files.h"
#include "trace/geometry.h"

namespace foregate::trace {
namespace {

constexpr const char* kFormatName = "foregate-trace";
constexpr int64_t kMaxCount = int64_t{1} << 53;  // What every JSON reader holds exactly.

std::string digest(const JsonReader& reader, const char* key, bool required) {
  std::string text = reader.string(key);
  if (!is_sha256(text) && (required || !text.empty())) {
    reader.fail(key, required ? "64 lower-case hexadecimal digits"
                              : "64 lower-case hexadecimal digits or \"\"");
  }
  return text;
}

/// A name inside the trace directory: a manifest from elsewhere must not reach out of it.
std::string file_name(const JsonReader& reader, const char* key, const std::string& suffix) {
  std::string name = reader.string(key);
  if (!name.ends_with(suffix) || name.size() == suffix.size() || name.starts_with(".") ||
      name.find_first_of("/\\") != std::string::npos) {
    reader.fail(key, fmt::format("a file name ending in {}", suffix));
  }
  return name;
}

struct TokenIdsName {
  TokenIds token_ids;
  const char* name;
  const char* description;
};
constexpr TokenIdsName kTokenIdsNames[] = {
    {TokenIds::kTokenizer, "tokenizer", "ids of the model's tokenizer"},
    {TokenIds::kHashed, "hashed", "strings, a hash of each"},
    {TokenIds::kByAppearance, "by-appearance", "strings, numbered by first appearance"},
    {TokenIds::kUnique, "unique", "no tokens: every token has an id of its own"}};

const TokenIdsName& named(TokenIds token_ids) {
  return kTokenIdsNames[static_cast<size_t>(token_ids)];
}

uint64_t read_seed(const JsonReader& reader) {
  const Json& value = reader.at("seed");
  if (!value.is_number_unsigned()) reader.fail("seed", "an integer from 0 to 2^64 - 1");
  return value.get<uint64_t>();
}

std::vector<int64_t> read_growth(const JsonReader& reader) {
  if (!reader.has("grown_from")) return {};
  std::vector<int64_t> totals = reader.integers("grown_from");
  int64_t before = 0;
  for (const int64_t total : totals) {
    if (total <= before) reader.fail("grown_from", "rising numbers of traces");
    before = total;
  }
  return totals;
}

void check_version(const JsonReader& reader) {
  if (reader.string("format", "") != kFormatName) {
    throw DataError(fmt::format("{}: 'format' is not \"{}\"; this is not a foregate trace",
                                reader.where(), kFormatName));
  }
  const int64_t version = reader.integer("format_version", 1, INT32_MAX);
  if (version > kTraceFormatVersion) {
    throw DataError(
        fmt::format("{}: format version {}; this foregate reads up to {}: use a newer "
                    "foregate",
                    reader.where(), version, kTraceFormatVersion));
  }
}

Json shard_to_json(const ShardEntry& shard) {
  Json json;
  json["file"] = shard.file;
  json["rows"] = shard.rows;
  json["tokens"] = shard.tokens;
  json["bytes"] = shard.bytes;
  json["sha256"] = shard.sha256;
  if (!shard.features.empty()) {
    json["features"] = shard.features;
    json["feature_bytes"] = shard.feature_bytes;
  }
  return json;
}

ShardEntry shard_from_json(const JsonReader& reader) {
  ShardEntry shard;
  shard.file = file_name(reader, "file", ".parquet");
  shard.rows = reader.integer("rows", 1, kMaxCount);
  shard.tokens = reader.integer("tokens", shard.rows, kMaxCount);
  shard.bytes = reader.integer("bytes", 1, kMaxCount);
  shard.sha256 = digest(reader, "sha256", true);
  if (reader.has("features")) {
    shard.features = file_name(reader, "features", ".safetensors");
    shard.feature_bytes = reader.integer("feature_bytes", 1, kMaxCount);
  }
  return shard;
}

Json dataset_to_json(const DatasetEntry& dataset) {
  Json json;
  json["name"] = dataset.name;
  json["source"] = dataset.source;
  json["traces"] = dataset.traces;
  json["available"] = dataset.available;
  json["skipped"] = dataset.skipped;
  if (!dataset.sha256.empty()) json["sha256"] = dataset.sha256;
  return json;
}

DatasetEntry dataset_from_json(const JsonReader& reader) {
  DatasetEntry dataset;
  dataset.name = reader.string("name");
  if (dataset.name.empty()) reader.fail("name", "a name");
  dataset.source = reader.string("source");
  dataset.traces = reader.integer("traces", 0, kMaxCount);
  dataset.available = reader.integer("available", 0, kMaxCount);
  dataset.skipped = reader.integer("skipped", 0, kMaxCount);
  if (reader.has("sha256")) dataset.sha256 = digest(reader, "sha256", true);
  return dataset;
}

/// Reads a list of objects, each reported as "<where>: <key>[i]".
template <typename Entry>
std::vector<Entry> read_entries(const JsonReader& reader, const char* key,
                                Entry (*read)(const JsonReader&)) {
  std::vector<Entry> entries;
  for (const Json& json : reader.array(key)) {
    entries.push_back(
        read(JsonReader(json, fmt::format("{}: {}[{}]", reader.where(), key, entries.size()))));
  }
  return entries;
}

void require_unique(std::vector<std::string> names, const std::string& where, const char* what) {
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice != names.end()) {
    throw DataError(fmt::format("{}: {} '{}' is listed twice", where, what, *twice));
  }
}

void check_consistency(const Manifest& manifest, const std::string& where) {
  std::vector<std::string> files;
  for (const ShardEntry& shard : manifest.shards) {
    files.push_back(shard.file);
    if (!shard.features.empty()) files.push_back(shard.features);
  }
  require_unique(std::move(files), where, "file");
  std::vector<std::string> names;
  for (const DatasetEntry& dataset : manifest.datasets) names.push_back(dataset.name);
  const int64_t planned = manifest.num_planned();
  require_unique(std::move(names), where, "dataset");
  const int64_t recorded = manifest.num_traces();
  const bool fits = manifest.complete ? recorded == planned : recorded <= planned;
  if (!fits) {
    throw DataError(fmt::format(
        "{}: the shards hold {} traces and the datasets plan {}; expected {}", where, recorded,
        planned, manifest.complete ? "the same of a complete trace" : "no more than planned"));
  }
}

}  // namespace

std::string_view description(TokenIds token_ids) {
  return named(token_ids).description;
}

const char* token_ids_name(TokenIds token_ids) {
  return named(token_ids).name;
}

TokenIds token_ids_from_name(const JsonReader& reader, const char* key) {
  const std::string found = reader.string(key, named(TokenIds::kTokenizer).name);
  for (const TokenIdsName& known : kTokenIdsNames) {
    if (found == known.name) return known.token_ids;
  }
  reader.fail(key, "tokenizer, hashed, by-appearance or unique");
}

int64_t Manifest::num_traces() const {
  int64_t traces = 0;
  for (const ShardEntry& shard : shards) traces += shard.rows;
  return traces;
}

int64_t Manifest::num_planned() const {
  int64_t traces = 0;
  for (const DatasetEntry& dataset : datasets) traces += dataset.traces;
  return traces;
}

int64_t Manifest::num_tokens() const {
  int64_t tokens = 0;
  for (const ShardEntry& shard : shards) tokens += shard.tokens;
  return tokens;
}

Json Manifest::to_json() const {
  Json json;
  json["format"] = kFormatName;
  json["format_version"] = kTraceFormatVersion;
  json["model"] = model;
  json["model_type"] = model_type;
  json["config_sha256"] = config_sha256;
  json["tokenizer_sha256"] = tokenizer_sha256;
  if (!weights.empty()) json["weights"] = foregate::to_json(weights);
  if (!routers_sha256.empty()) json["routers_sha256"] = routers_sha256;
  json["dtype"] = dtype;
  json["quantization"] = quantization;
  json["geometry"] = geometry_to_json(geometry);
  if (router) json["router"] = router_spec_to_json(*router);
  if (token_ids != TokenIds::kTokenizer) json["token_ids"] = named(token_ids).name;
  json["seed"] = seed;
  json["max_length"] = max_length;
  json["gate_weights"] = gate_weights;
  json["router_logits"] = router_logits;
  json["feature_fraction"] = feature_fraction;
  json["shard_traces"] = shard_traces;
  json["batch_tokens"] = batch_tokens;
  if (!grown_from.empty()) json["grown_from"] = grown_from;
  json["datasets"] = Json::array();
  for (const DatasetEntry& dataset : datasets) json["datasets"].push_back(dataset_to_json(dataset));
  json["shards"] = Json::array();
  for (const ShardEntry& shard : shards) json["shards"].push_back(shard_to_json(shard));
  json["complete"] = complete;
  return json;
}

Manifest Manifest::from_json(const Json& json, const std::string& where) {
  const JsonReader reader(json, where);
  check_version(reader);
  Manifest manifest;
  manifest.model = reader.string("model");
  manifest.model_type = reader.string("model_type");
  manifest.config_sha256 = digest(reader, "config_sha256", false);
  manifest.tokenizer_sha256 = digest(reader, "tokenizer_sha256", false);
  if (reader.has("weights")) manifest.weights = file_digests(reader, "weights");
  if (reader.has("routers_sha256")) {
    manifest.routers_sha256 = digest(reader, "routers_sha256", true);
  }
  manifest.dtype = reader.string("dtype");
  const std::set<std::string> dtypes = {"float32", "bfloat16", "float16", "unknown"};
  if (!dtypes.contains(manifest.dtype)) {
    reader.fail("dtype", "float32, bfloat16, float16 or unknown");
  }
  manifest.quantization = reader.string("quantization");
  manifest.geometry = geometry_from_json(reader.object("geometry"));
  if (reader.has("router")) {
    manifest.router = router_spec_from_json(reader.object("router"));
    check_router_spec(*manifest.router, manifest.geometry.num_experts, manifest.geometry.top_k,
                      reader.object("router").where());
  }
  manifest.token_ids = token_ids_from_name(reader, "token_ids");
  manifest.seed = read_seed(reader);
  manifest.max_length = reader.integer("max_length", 0, kMaxCount);
  manifest.gate_weights = reader.boolean("gate_weights");
  manifest.router_logits = reader.boolean("router_logits");
  manifest.feature_fraction = reader.number("feature_fraction", 0, 1);
  manifest.shard_traces = reader.integer("shard_traces", 0, kMaxCount);
  manifest.batch_tokens = reader.integer("batch_tokens", 0, kMaxCount);
  manifest.grown_from = read_growth(reader);
  manifest.datasets = read_entries(reader, "datasets", dataset_from_json);
  manifest.shards = read_entries(reader, "shards", shard_from_json);
  manifest.complete = reader.boolean("complete");
  check_consistency(manifest, where);
  return manifest;
}

Manifest read_manifest(const fs::path& directory) {
  const fs::path path = directory / kManifestName;
  if (!fs::exists(path)) {
    throw EnvironmentError(
        fmt::format("{} is not a trace directory: no {} in it; expected a directory that 'foregate "
                    "collect' or 'foregate import' wrote",
                    directory.string(), kManifestName));
  }
  return Manifest::from_json(read_json(path), path.string());
}

void write_manifest(const fs::path& directory, const Manifest& manifest) {
  write_json_atomically(directory / kManifestName, manifest.to_json());
}

}  // namespace foregate::trace
