#pragma once

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "expert_word.h"
#include "kernels/cache/cache.h"

namespace foregate::testing {

inline void check_cuda(cudaError_t error) {
  ASSERT_EQ(error, cudaSuccess) << cudaGetErrorString(error);
}

/// Device memory, freed at the end.
class DeviceBytes {
 public:
  explicit DeviceBytes(size_t bytes) { check_cuda(cudaMalloc(&memory_, bytes > 0 ? bytes : 1)); }
  template <typename T>
  explicit DeviceBytes(std::span<const T> values) : DeviceBytes(values.size_bytes()) {
    check_cuda(cudaMemcpy(memory_, values.data(), values.size_bytes(), cudaMemcpyHostToDevice));
  }
  ~DeviceBytes() { cudaFree(memory_); }
  DeviceBytes(const DeviceBytes&) = delete;
  DeviceBytes& operator=(const DeviceBytes&) = delete;
  template <typename T>
  T* as() const {
    return static_cast<T*>(memory_);
  }

 private:
  void* memory_ = nullptr;
};

/// An expert cache on the device, over experts in pinned memory whose bytes tell which they are.
class DeviceCache {
 public:
  DeviceCache(const kernels::CacheShape& shape, const std::vector<int64_t>& part_bytes,
              int64_t piece_bytes)
      : image_(static_cast<size_t>(kernels::cache_table_bytes(shape)) / sizeof(Line) + 1),
        host_(kernels::lay_out_cache(shape, image_.data())),
        memory_(image_.size() * sizeof(Line)),
        tables_(kernels::lay_out_cache(shape, memory_.as<void>())),
        hosts_(shape.layers * part_bytes.size() * sizeof(void*)),
        slots_(bytes_of(part_bytes) * static_cast<size_t>(shape.slots + shape.staging)) {
    kernels::clear_cache(host_);
    upload();
    fill_experts(part_bytes, piece_bytes);
  }
  ~DeviceCache() { cudaFreeHost(experts_); }
  DeviceCache(const DeviceCache&) = delete;
  DeviceCache& operator=(const DeviceCache&) = delete;

  const kernels::CacheTables& tables() const { return tables_; }
  const kernels::ExpertParts& parts() const { return parts_; }
  /// The books as download() found them or upload() will write them.
  const kernels::CacheTables& host() const { return host_; }
  void upload() {
    check_cuda(cudaMemcpy(memory_.as<void>(), image_.data(), image_.size() * sizeof(Line),
                          cudaMemcpyHostToDevice));
  }
  void download() {
    check_cuda(cudaMemcpy(image_.data(), memory_.as<void>(), image_.size() * sizeof(Line),
                          cudaMemcpyDeviceToHost));
  }

 private:
  struct alignas(64) Line {
    char bytes[64];
  };

  static size_t bytes_of(const std::vector<int64_t>& part_bytes) {
    size_t sum = 0;
    for (const int64_t bytes : part_bytes) sum += static_cast<size_t>(bytes);
    return sum;
  }
  void fill_experts(const std::vector<int64_t>& part_bytes, int64_t piece_bytes) {
    const kernels::CacheShape& shape = tables_.shape;
    const auto of_layer = static_cast<size_t>(shape.experts);
    check_cuda(cudaMallocHost(&experts_,
                              bytes_of(part_bytes) * of_layer * static_cast<size_t>(shape.layers)));
    std::vector<const void*> hosts;
    auto* at = static_cast<char*>(experts_);
    for (int layer = 0; layer < shape.layers; ++layer) {
      for (size_t part = 0; part < part_bytes.size(); ++part) {
        hosts.push_back(at);
        auto* words = reinterpret_cast<uint32_t*>(at);
        const int64_t size = part_bytes[part] / 4;
        for (int e = 0; e < shape.experts; ++e) {
          for (int64_t i = 0; i < size; ++i) {
            *words++ = expert_word(layer * shape.experts + e, static_cast<int>(part), i);
          }
        }
        at += part_bytes[part] * shape.experts;
      }
    }
    check_cuda(cudaMemcpy(hosts_.as<void>(), hosts.data(), hosts.size() * sizeof(void*),
                          cudaMemcpyHostToDevice));
    parts_.count = static_cast<int32_t>(part_bytes.size());
    parts_.hosts = hosts_.as<const void*>();
    parts_.piece_bytes = piece_bytes;
    auto* slot = slots_.as<char>();
    for (size_t part = 0; part < part_bytes.size(); ++part) {
      parts_.bytes[part] = part_bytes[part];
      parts_.host_strides[part] = part_bytes[part];
      parts_.slots[part] = slot;
      slot += part_bytes[part] * (shape.slots + shape.staging);
    }
  }

  std::vector<Line> image_;
  kernels::CacheTables host_;
  DeviceBytes memory_;
  kernels::CacheTables tables_;
  DeviceBytes hosts_;
  DeviceBytes slots_;
  kernels::ExpertParts parts_;
  void* experts_ = nullptr;
};

}  // namespace foregate::testing
