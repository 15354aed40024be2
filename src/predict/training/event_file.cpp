#include "predict/training/event_file.h"

#include <fmt/format.h>

#include <array>
#include <bit>
#include <chrono>

#include "base/error.h"
#include "base/files.h"

namespace foregate::predict {
namespace {

// Field numbers of Event, Summary and Summary.Value, and protocol-buffer wire types.
constexpr uint32_t kWallTime = 1;
constexpr uint32_t kStep = 2;
constexpr uint32_t kFileVersion = 3;
constexpr uint32_t kSummary = 5;
constexpr uint32_t kValue = 1;
constexpr uint32_t kTag = 1;
constexpr uint32_t kSimpleValue = 2;
enum WireType : uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

void put_varint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7U) out += static_cast<char>((value & 0x7fU) | 0x80U);
  out += static_cast<char>(value);
}

template <typename Unsigned>
void put_little_endian(std::string& out, Unsigned value) {
  for (size_t i = 0; i < sizeof(value); ++i) out += static_cast<char>(value >> (8 * i));
}

void put_key(std::string& out, uint32_t field, WireType type) {
  put_varint(out, (field << 3U) | type);
}

void put_bytes(std::string& out, uint32_t field, std::string_view bytes) {
  put_key(out, field, kBytes);
  put_varint(out, bytes.size());
  out += bytes;
}

std::string event_at(double wall_time, int64_t step) {
  std::string event;
  put_key(event, kWallTime, kFixed64);
  put_little_endian(event, std::bit_cast<uint64_t>(wall_time));
  put_key(event, kStep, kVarint);
  put_varint(event, static_cast<uint64_t>(step));
  return event;
}

double now() {
  const auto since = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration<double>(since).count();
}

/// As TFRecord stores checksums, so that a checksum of data with checksums in it is no weaker.
uint32_t masked(uint32_t crc) {
  return std::rotr(crc, 15) + 0xa282ead8U;
}

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  static const std::array<uint32_t, 256> kTable = [] {
    std::array<uint32_t, 256> table{};
    for (uint32_t i = 0; i < table.size(); ++i) {
      uint32_t crc = i;
      for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1U) ^ ((crc & 1U) != 0 ? 0x82f63b78U : 0);
      table[i] = crc;
    }
    return table;
  }();
  uint32_t crc = ~0U;
  for (const char byte : bytes) {
    crc = (crc >> 8U) ^ kTable[(crc ^ static_cast<unsigned char>(byte)) & 0xffU];
  }
  return ~crc;
}

EventFile::EventFile(const std::filesystem::path& directory) {
  make_output_directory(directory);
  // Microseconds, so that a training that goes on at once gets a file of its own.
  path_ = directory / fmt::format("events.out.tfevents.{:.6f}.foregate", now());
  file_.open(path_, std::ios::binary);
  std::string event = event_at(now(), 0);
  put_bytes(event, kFileVersion, "brain.Event:2");
  write_record(event);
}

void EventFile::add(std::string_view tag, int64_t step, double value) {
  std::string scalar;
  put_bytes(scalar, kTag, tag);
  put_key(scalar, kSimpleValue, kFixed32);
  put_little_endian(scalar, std::bit_cast<uint32_t>(static_cast<float>(value)));
  std::string summary;
  put_bytes(summary, kValue, scalar);
  std::string event = event_at(now(), step);
  put_bytes(event, kSummary, summary);
  write_record(event);
}

void EventFile::write_record(const std::string& event) {
  std::string header;
  put_little_endian(header, static_cast<uint64_t>(event.size()));
  std::string record = header;
  put_little_endian(record, masked(crc32c(header)));
  record += event;
  put_little_endian(record, masked(crc32c(event)));
  file_ << record << std::flush;
  if (file_) return;
  throw EnvironmentError(fmt::format("{}: cannot be written; is the disk full?", path_.string()));
}

}  // namespace foregate::predict
