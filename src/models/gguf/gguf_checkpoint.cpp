#include "models/gguf/gguf_checkpoint.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "base/error.h"
#include "models/gguf/gguf_architectures.h"
#include "models/gguf/gguf_latent.h"
#include "models/gguf/gguf_names.h"
#include "models/gguf/gguf_view.h"

namespace foregate::models {
namespace {

using Layout = GgufName::Layout;

constexpr std::string_view kLayerPrefix = "blk.";

/// "blk.3.attn_q.weight" -> 3, "attn_q.weight"
struct LayerTensor {
  int64_t layer;
  std::string_view name;
};

std::optional<LayerTensor> parse_layer_tensor(std::string_view name) {
  if (!name.starts_with(kLayerPrefix)) return std::nullopt;
  const char* begin = name.data() + kLayerPrefix.size();
  int32_t layer = 0;
  const auto [stop, error] = std::from_chars(begin, name.data() + name.size(), layer);
  const auto end = static_cast<size_t>(stop - name.data());
  if (error != std::errc() || layer < 0 || end >= name.size() || name[end] != '.') {
    return std::nullopt;
  }
  return LayerTensor{layer, name.substr(end + 1)};
}

const GgufName* find_name(std::span<const GgufName> names, std::string_view name) {
  const auto found = std::ranges::find(names, name, &GgufName::name);
  return found == names.end() ? nullptr : &*found;
}

/// Gives the tensors of one file their names.
class Renamer {
 public:
  Renamer(const GgufArchitecture& gguf, const ModelConfig& config,
          std::shared_ptr<const tensor::GgufFile> file)
      : gguf_(gguf), config_(config), names_(config.spellings.front()), file_(std::move(file)) {}

  std::unique_ptr<tensor::TensorFile> rename() {
    view_ = std::make_unique<GgufView>(file_);
    for (const tensor::TensorEntry& entry : file_->entries()) add(entry);
    return std::move(view_);
  }

 private:
  void add(const tensor::TensorEntry& entry) {
    const auto place = parse_layer_tensor(entry.name);
    const GgufName* name = place ? find_name(gguf_layer_names(), place->name)
                                 : find_name(gguf_outer_names(), entry.name);
    // Layers behind the last one predict further tokens (MTP).
    if (place && place->layer >= config_.num_layers) {
      view_->add({entry.name, entry.dtype, flat(entry)}, {entry.name});
      return;
    }
    if (name == nullptr || (names_.*name->pattern).empty()) {
      throw DataError(fmt::format("{}: tensor \"{}\" is none that models of architecture {} have",
                                  file_->path().string(), entry.name, gguf_.name));
    }
    add(entry, *name, place ? place->layer : 0);
  }

  void add(const tensor::TensorEntry& entry, const GgufName& name, int64_t layer) {
    const std::string pattern = names_.*name.pattern + std::string(name.suffix);
    switch (name.layout) {
      case Layout::kPlain:
        return add_matrix(entry, weight_name(pattern, layer), entry.shape, {entry.name});
      case Layout::kRow:
        return add_matrix(entry, weight_name(pattern, layer), {1, entry.shape.back()},
                          {entry.name});
      case Layout::kHeads:
        return add_matrix(entry, weight_name(pattern, layer), entry.shape,
                          {.source = entry.name, .paired_head_dim = paired_head_dim(entry)});
      case Layout::kHalfLatent:
        return;
      case Layout::kEachExpert:
        return add_experts(entry, layer, {&pattern, 1});
      case Layout::kGateAndUp: {
        const std::array patterns = {names_.expert_gate, names_.expert_up};
        return add_experts(entry, layer, patterns);
      }
    }
  }

  void add_matrix(const tensor::TensorEntry& entry, std::string name, std::vector<int64_t> shape,
                  GgufPlace place) {
    if (shape.size() > 2) shape = flat(entry);
    view_->add({std::move(name), entry.dtype, std::move(shape)}, std::move(place));
  }

  // The stacked matrices, or biases, of all experts, each cut into as many as there are patterns.
  void add_experts(const tensor::TensorEntry& entry, int64_t layer,
                   std::span<const std::string> patterns) {
    const auto parts = static_cast<int64_t>(patterns.size());
    const bool is_bias = entry.shape.size() == 2 && parts == 1;
    if ((entry.shape.size() != 3 && !is_bias) || entry.shape[0] != config_.num_experts ||
        entry.shape[1] % parts != 0) {
      throw DataError(fmt::format("{}: tensor \"{}\" is no stack of the matrices of {} experts",
                                  file_->path().string(), entry.name, config_.num_experts));
    }
    const int64_t rows = is_bias ? 1 : entry.shape[1] / parts;
    const std::vector<int64_t> shape =
        is_bias ? std::vector{entry.shape[1]} : std::vector{rows, entry.shape[2]};
    int64_t first = 0;
    for (int64_t expert = 0; expert < config_.num_experts; ++expert) {
      for (const std::string& pattern : patterns) {
        add_matrix(entry, weight_name(pattern, layer, expert), shape,
                   {.source = entry.name, .first_vector = first});
        first += rows;
      }
    }
  }

  // A tensor of another shape than this needs is refused when shapes are compared.
  int64_t paired_head_dim(const tensor::TensorEntry& entry) const {
    if (!gguf_.paired_heads) return 0;
    const int64_t head_dim = std::get<GroupedQueryConfig>(config_.attention).head_dim;
    return entry.shape[0] % head_dim == 0 ? head_dim : 0;
  }

  static std::vector<int64_t> flat(const tensor::TensorEntry& entry) {
    if (entry.shape.size() == 1) return entry.shape;
    return {c10::multiply_integers(entry.shape.begin(), entry.shape.end() - 1), entry.shape.back()};
  }

  const GgufArchitecture& gguf_;
  const ModelConfig& config_;
  const WeightNames& names_;
  std::shared_ptr<const tensor::GgufFile> file_;
  std::unique_ptr<GgufView> view_;
};

/// What GGUF calls the tensors of this model, by the names that they are given.
std::map<std::string, std::string, std::less<>> names_in_file(const ModelConfig& config) {
  const WeightNames& names = config.spellings.front();
  std::map<std::string, std::string, std::less<>> shown;
  const auto show = [&](const GgufName& name, const std::string& stored, int64_t layer) {
    const std::string& pattern = names.*name.pattern;
    if (pattern.empty() || name.layout == Layout::kGateAndUp) return;
    const int64_t experts = name.layout == Layout::kEachExpert ? config.num_experts : 1;
    for (int64_t expert = 0; expert < experts; ++expert) {
      shown[weight_name(pattern + std::string(name.suffix), layer, expert)] = stored;
    }
  };
  for (const GgufName& name : gguf_outer_names()) show(name, std::string(name.name), 0);
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    for (const GgufName& name : gguf_layer_names()) {
      show(name, fmt::format("{}{}.{}", kLayerPrefix, layer, name.name), layer);
    }
  }
  return shown;
}

}  // namespace

tensor::Checkpoint gguf_checkpoint(const GgufModel& model, const ModelConfig& config) {
  const GgufArchitecture& gguf = find_gguf_architecture(model.header());
  std::vector<std::unique_ptr<tensor::TensorFile>> files;
  for (const auto& file : model.files()) files.push_back(Renamer(gguf, config, file).rename());
  if (const auto* latent = std::get_if<LatentConfig>(&config.attention)) {
    files.push_back(std::make_unique<GgufLatentExpansions>(model, config, *latent));
  }
  return {model.path(), std::move(files), names_in_file(config)};
}

}  // namespace foregate::models
