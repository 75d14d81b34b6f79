// What every function of the C door does alike: structs that grow, messages, and no exception out.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <new>
#include <string>

#include "efiqa/efiqa.h"
#include "status.h"

namespace efiqa {

// No struct of the C ABI will grow beyond this: a larger struct_size was never set.
constexpr std::uint32_t kMaxStructBytes = 4096;

inline void write_message(const char* text, char* message, std::size_t message_size) noexcept {
  if (message == nullptr || message_size == 0) return;
  const std::size_t length = std::min(std::strlen(text), message_size - 1);
  std::memcpy(message, text, length);
  message[length] = '\0';
}

// Runs `body` and turns what it throws into a status and a message.
template <typename Body>
std::int32_t guarded(char* message, std::size_t message_size, Body&& body) noexcept {
  StatusCode code = StatusCode::kOk;
  try {
    body();
    write_message("", message, message_size);
  } catch (const Error& error) {
    code = error.code();
    write_message(error.what(), message, message_size);
  } catch (const std::bad_alloc&) {
    code = StatusCode::kOutOfMemory;
    write_message("out of memory", message, message_size);
  } catch (const std::exception& error) {
    code = StatusCode::kInternal;
    write_message(error.what(), message, message_size);
  } catch (...) {
    code = StatusCode::kInternal;
    write_message("an exception of an unknown type", message, message_size);
  }
  return static_cast<std::int32_t>(code);
}

// What a caller of ABI version 1 may have at least. When fields are appended to a struct, its size
// until then becomes a specialisation here, so that older programs keep running.
template <typename Struct>
inline constexpr std::size_t kMinStructBytes = sizeof(Struct);
template <>
inline constexpr std::size_t kMinStructBytes<efiqa_report> = offsetof(efiqa_report, main_reason);
template <>
inline constexpr std::size_t kMinStructBytes<efiqa_region> = offsetof(efiqa_region, main_reason);

// Throws Error(kInvalidArgument) for null, and for a struct_size that was not set. `name` and
// `type` are for messages: "options", "efiqa_options".
template <typename Struct>
void check_struct(const Struct* given, const char* name, const char* type) {
  if (given == nullptr) {
    throw Error(StatusCode::kInvalidArgument,
                std::string(name) + " is null, expected an " + type + " made with EFIQA_INIT");
  }
  if (given->struct_size >= kMinStructBytes<Struct> && given->struct_size <= kMaxStructBytes) {
    return;
  }
  throw Error(StatusCode::kInvalidArgument,
              std::string(name) + ".struct_size is " + std::to_string(given->struct_size) +
                  ", expected at least " + std::to_string(kMinStructBytes<Struct>) + "; make the " +
                  type + " with EFIQA_INIT");
}

// What the caller gives, fields that its version does not have being 0. Throws as check_struct, and
// for fields of a later version that are set: they must not be ignored.
template <typename Struct>
Struct read_struct(const Struct* given, const char* name, const char* type) {
  check_struct(given, name, type);
  const unsigned char* bytes = reinterpret_cast<const unsigned char*>(given);
  for (std::size_t i = sizeof(Struct); i < given->struct_size; ++i) {
    if (bytes[i] == 0) continue;
    throw Error(StatusCode::kInvalidArgument,
                std::string(name) + " sets a field at byte " + std::to_string(i) +
                    " that this libefiqa does not know; install a newer one, or leave it 0");
  }
  Struct known{};
  std::memcpy(&known, given, std::min<std::size_t>(given->struct_size, sizeof(Struct)));
  return known;
}

// Copies as much of `value` as the caller's struct has, all but struct_size.
template <typename Struct>
void write_struct(const Struct& value, Struct* out) noexcept {
  const std::size_t size = std::min<std::size_t>(out->struct_size, sizeof(Struct));
  constexpr std::size_t kStart = sizeof(out->struct_size);
  if (size <= kStart) return;
  std::memcpy(reinterpret_cast<char*>(out) + kStart, reinterpret_cast<const char*>(&value) + kStart,
              size - kStart);
}

// Whether `rows` rows of row_bytes, stride_bytes >= row_bytes apart, lie within size_bytes.
inline bool plane_fits(std::size_t size_bytes, std::ptrdiff_t stride_bytes, std::size_t row_bytes,
                       int rows) noexcept {
  // Divided rather than multiplied: no stride can overflow it.
  return size_bytes >= row_bytes &&
         (size_bytes - row_bytes) / static_cast<std::size_t>(stride_bytes) >=
             static_cast<std::size_t>(rows - 1);
}

}  // namespace efiqa
