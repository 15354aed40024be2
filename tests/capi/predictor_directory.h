#pragma once

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "base/containers/safetensors_header.h"
#include "base/files.h"
#include "base/hash.h"

namespace foregate::testing {

/// A predictor directory written by hand, without libtorch.
class PredictorDirectory {
 public:
  explicit PredictorDirectory(std::filesystem::path path) : path_(std::move(path)) {
    std::filesystem::create_directories(path_);
  }
  const std::filesystem::path& path() const { return path_; }

  template <typename Value>
  void tensor(const std::string& name, const std::string& dtype, std::vector<int64_t> shape,
              const std::vector<Value>& values) {
    TensorRecord record{name, dtype, std::move(shape), data_.size(), 0};
    data_.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(Value));
    record.end = data_.size();
    records_.push_back(std::move(record));
  }

  /// 2 MoE layers (decoder layers 1 and 3), 4 experts, top-2, hidden size 3, 5 ids.
  std::string json(const std::string& predictor, const std::string& lead) const {
    return R"({"format": "foregate-predictor", "format_version": 1, "predictor": ")" + predictor +
           R"(", "lead": ")" + lead +
           R"(", "geometry": {"num_moe_layers": 2, "num_experts": 4, "top_k": 2, "hidden_size": 3,)"
           R"( "vocab_size": 5, "num_decoder_layers": 4, "moe_layers": [1, 3]},)"
           R"( "model": {"name": "by-hand"},)" +
           (settings_.empty() ? "" : R"( "settings": )" + settings_ + ",") +
           (calibration_.empty() ? "" : R"( "calibration": )" + calibration_ + ",") +
           R"( "weights_sha256": ")" + sha256_of_file(path_ / "weights.safetensors") + R"("})";
  }

  /// A JSON value for "calibration".
  void calibrate(const std::string& calibration) { calibration_ = calibration; }

  /// A JSON value for "settings".
  void set_up(const std::string& settings) { settings_ = settings; }

  void write_weights() const {
    std::ofstream(path_ / "weights.safetensors", std::ios::binary)
        << make_safetensors_header(records_, {}) << data_;
  }
  void write(const std::string& predictor, const std::string& lead) const {
    write_weights();
    write_json(json(predictor, lead));
  }
  void write_json(const std::string& text) const {
    std::ofstream(path_ / "predictor.json", std::ios::binary) << text;
  }

 private:
  std::filesystem::path path_;
  std::vector<TensorRecord> records_;
  std::string data_;
  std::string calibration_;
  std::string settings_;
};

}  // namespace foregate::testing
